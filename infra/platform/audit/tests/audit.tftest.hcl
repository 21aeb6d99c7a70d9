mock_provider "azurerm" {
  mock_resource "azurerm_storage_account" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.Storage/storageAccounts/stappstoreaudit"
    }
  }

  mock_resource "azurerm_storage_container" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.Storage/storageAccounts/stappstoreaudit/blobServices/default/containers/audit-anchors"
    }
  }
}

variables {
  storage_account  = "stappstoreaudit"
  resource_group   = "rg-appstore"
  location         = "westeurope"
  app_principal_id = "30000000-0000-0000-0000-000000000001"
}

run "what_is_written_stays" {
  command = apply

  assert {
    condition = (
      azurerm_storage_container_immutability_policy.anchors.locked &&
      azurerm_storage_container_immutability_policy.anchors.immutability_period_in_days == 2555 &&
      azurerm_storage_container_immutability_policy.anchors.storage_container_resource_manager_id == azurerm_storage_container.anchors.id
    )
    error_message = "The container needs a locked retention of seven years."
  }

  assert {
    condition = (
      !azurerm_storage_container_immutability_policy.anchors.protected_append_writes_enabled &&
      !azurerm_storage_container_immutability_policy.anchors.protected_append_writes_all_enabled
    )
    error_message = "An anchor is written once: nothing is appended."
  }

  assert {
    condition     = azurerm_storage_account.this.blob_properties[0].versioning_enabled
    error_message = "The account must keep versions."
  }
}

run "the_account_is_closed" {
  command = plan

  assert {
    condition = (
      !azurerm_storage_account.this.shared_access_key_enabled &&
      !azurerm_storage_account.this.allow_nested_items_to_be_public &&
      !azurerm_storage_account.this.public_network_access_enabled &&
      !azurerm_storage_account.this.local_user_enabled &&
      azurerm_storage_account.this.min_tls_version == "TLS1_2" &&
      azurerm_storage_container.anchors.container_access_type == "private"
    )
    error_message = "The account must know Entra ID alone and be closed to the public."
  }
}

run "the_app_reaches_this_container_only" {
  command = apply

  assert {
    condition = (
      azurerm_role_assignment.app_writes_anchors.scope == azurerm_storage_container.anchors.id &&
      azurerm_role_assignment.app_writes_anchors.principal_id == var.app_principal_id
    )
    error_message = "The role must end at the container."
  }
}

run "a_short_retention_is_refused" {
  command = plan

  variables {
    retention_days = 30
  }

  expect_failures = [var.retention_days]
}
