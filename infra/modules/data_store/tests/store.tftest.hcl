mock_provider "azurerm" {
  mock_resource "azurerm_storage_account" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-sales-dev/providers/Microsoft.Storage/storageAccounts/stsalesdev1a2b3c"
    }
  }

  mock_resource "azurerm_storage_container" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-sales-dev/providers/Microsoft.Storage/storageAccounts/stsalesdev1a2b3c/blobServices/default/containers/data"
    }
  }
}

variables {
  application           = "sales"
  environment           = "dev"
  location              = "westeurope"
  resource_group        = "rg-sales-dev"
  names                 = { storage_account = "stsalesdev1a2b3c" }
  tags                  = { "appstore-request-id" = "req-7f3a" }
  workload_principal_id = "30000000-0000-0000-0000-000000000001"
  action_group_id       = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-sales-dev/providers/Microsoft.Insights/actionGroups/ag-sales-dev"
  log_workspace_id      = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-dev/providers/Microsoft.OperationalInsights/workspaces/log-dev-weu"
  public_network_access = false
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
      azurerm_storage_container.data.container_access_type == "private"
    )
    error_message = "The account must know Entra ID alone and be closed to the public."
  }
}

run "production_is_in_three_zones" {
  command = plan

  variables {
    environment = "prod"
  }

  assert {
    condition     = azurerm_storage_account.this.account_replication_type == "ZRS"
    error_message = "Production must survive the loss of a zone."
  }
}

run "the_application_writes_its_container_only" {
  command = apply

  assert {
    condition = (
      azurerm_role_assignment.workload_writes_data.scope == azurerm_storage_container.data.id &&
      azurerm_role_assignment.workload_writes_data.principal_id == var.workload_principal_id
    )
    error_message = "The role must end at the container."
  }
}
