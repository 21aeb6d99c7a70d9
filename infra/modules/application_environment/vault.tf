locals {
  purge_protection = coalesce(var.purge_protection, var.environment != "dev")
}

# Security attributes are all set, also where the provider has the same default: policies refuse what is not written.
resource "azurerm_key_vault" "this" {
  #checkov:skip=CKV2_AZURE_32:closed to the public network; the landing zone makes the private endpoint
  name                            = var.names.key_vault
  location                        = azurerm_resource_group.this.location
  resource_group_name             = azurerm_resource_group.this.name
  tenant_id                       = var.tenant_id
  sku_name                        = "standard"
  rbac_authorization_enabled      = true
  purge_protection_enabled        = local.purge_protection
  soft_delete_retention_days      = local.purge_protection ? 90 : 7
  public_network_access_enabled   = var.public_network_access
  enabled_for_deployment          = false
  enabled_for_disk_encryption     = false
  enabled_for_template_deployment = false
  tags                            = local.tags

  network_acls {
    bypass         = "AzureServices"
    default_action = var.public_network_access ? "Allow" : "Deny"
  }
}
