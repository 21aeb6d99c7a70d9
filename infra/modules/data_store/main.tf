# The storage of one environment of a data job: input and output of its runs. Entra ID only, no keys.

locals {
  suffix        = "${var.application}-${var.environment}"
  is_production = var.environment == "prod"
}

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33:there is no queue in this account
  #checkov:skip=CKV2_AZURE_1:encrypted twice by the platform; a key of our own would be one more thing to lose the data with
  #checkov:skip=CKV2_AZURE_33:closed to the public network; the landing zone makes the private endpoint
  #checkov:skip=CKV_AZURE_206:ZRS in prod; what dev and qa hold is made again by a run
  name                              = var.names.storage_account
  location                          = var.location
  resource_group_name               = var.resource_group
  account_tier                      = "Standard"
  account_replication_type          = local.is_production ? "ZRS" : "LRS"
  access_tier                       = "Hot"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  allow_nested_items_to_be_public   = false
  shared_access_key_enabled         = false
  local_user_enabled                = false
  default_to_oauth_authentication   = true
  cross_tenant_replication_enabled  = false
  infrastructure_encryption_enabled = true
  public_network_access_enabled     = var.public_network_access
  tags                              = var.tags

  # A file or a container that was removed can be brought back for so long.
  blob_properties {
    delete_retention_policy {
      days = local.is_production ? 30 : 7
    }

    container_delete_retention_policy {
      days = local.is_production ? 30 : 7
    }
  }
}

resource "azurerm_storage_container" "data" {
  #checkov:skip=CKV2_AZURE_21:the diagnostic setting below logs reads, writes and removals
  name                  = "data"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

resource "azurerm_role_assignment" "workload_writes_data" {
  name                             = uuidv5("url", "${var.names.storage_account}/data/workload/Storage Blob Data Contributor")
  scope                            = azurerm_storage_container.data.id
  role_definition_name             = "Storage Blob Data Contributor"
  principal_id                     = var.workload_principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_monitor_metric_alert" "storage_availability" {
  name                = "alert-${local.suffix}-storage-availability"
  resource_group_name = var.resource_group
  description         = "The storage account answers fewer than 99 % of the requests: runs cannot read their input."
  scopes              = [azurerm_storage_account.this.id]
  severity            = local.is_production ? 1 : 3
  frequency           = "PT5M"
  window_size         = "PT15M"
  auto_mitigate       = true
  enabled             = true
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.Storage/storageAccounts"
    metric_name      = "Availability"
    aggregation      = "Average"
    operator         = "LessThan"
    threshold        = 99
  }

  action {
    action_group_id = var.action_group_id
  }
}

resource "azurerm_monitor_diagnostic_setting" "storage" {
  name                       = "to-landing-zone"
  target_resource_id         = azurerm_storage_account.this.id
  log_analytics_workspace_id = var.log_workspace_id

  enabled_metric {
    category = "Transaction"
  }
}
