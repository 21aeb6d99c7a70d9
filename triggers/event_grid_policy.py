"""Events of Azure Policy."""

from triggers._event_grid import event_grid_function

event_grid_function("take_policy_event")
