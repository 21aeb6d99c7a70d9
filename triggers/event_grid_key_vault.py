"""Events of Key Vault."""

from triggers._event_grid import event_grid_function

event_grid_function("take_key_vault_event")
