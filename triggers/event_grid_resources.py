"""Events of Azure Resource Manager."""

from triggers._event_grid import event_grid_function

event_grid_function("take_resources_event")
