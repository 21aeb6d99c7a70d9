# Where the ends of the audit trails are kept each day (docs/operations.md, "The audit trail"). What lies here can be neither
# changed nor removed before its time, by nobody: neither by the App Store, nor by whoever owns the subscription. An account
# of its own, because the App Store's other containers change all the time.

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33:there is no queue in this account
  #checkov:skip=CKV2_AZURE_1:encrypted twice by the platform; a key of our own would be one more thing to lose the data with
  #checkov:skip=CKV2_AZURE_33:closed to the public network; the landing zone makes the private endpoint
  #checkov:skip=CKV_AZURE_206:three zones: an anchor that one region has lost is still told by the next one
  #checkov:skip=CKV2_AZURE_38:a locked retention for years: nothing can be removed, so nothing has to come back
  name                              = var.storage_account
  location                          = var.location
  resource_group_name               = var.resource_group
  account_tier                      = "Standard"
  account_replication_type          = "ZRS"
  access_tier                       = "Cool"
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

  blob_properties {
    versioning_enabled = true
  }
}

resource "azurerm_storage_container" "anchors" {
  #checkov:skip=CKV2_AZURE_21:what is written is read by the verification alone; its runs are in the audit trail
  name                  = "audit-anchors"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

# Locked: from then on the time can only be made longer, five times.
resource "azurerm_storage_container_immutability_policy" "anchors" {
  storage_container_resource_manager_id = azurerm_storage_container.anchors.id
  immutability_period_in_days           = var.retention_days
  protected_append_writes_all_enabled   = false
  protected_append_writes_enabled       = false
  locked                                = true
}

resource "azurerm_role_assignment" "app_writes_anchors" {
  name                             = uuidv5("url", "${var.storage_account}/audit-anchors/app/Storage Blob Data Contributor")
  scope                            = azurerm_storage_container.anchors.id
  role_definition_name             = "Storage Blob Data Contributor"
  principal_id                     = var.app_principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}
