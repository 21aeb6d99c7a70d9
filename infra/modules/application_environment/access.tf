# Names of role assignments are GUIDs of the caller's choice. Made from what they stand for, a repeat is the same
# assignment and a plan knows them beforehand.

resource "azurerm_role_assignment" "workload_reads_secrets" {
  name                             = uuidv5("url", "${var.names.key_vault}/workload/Key Vault Secrets User")
  scope                            = azurerm_key_vault.this.id
  role_definition_name             = "Key Vault Secrets User"
  principal_id                     = azurerm_user_assigned_identity.workload.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true # the identity is seconds old: the directory may not know it yet
}

resource "azurerm_role_assignment" "team" {
  name                 = uuidv5("url", "${var.names.resource_group}/${var.team_group_id}/${var.team_role}")
  scope                = azurerm_resource_group.this.id
  role_definition_name = var.team_role
  principal_id         = var.team_group_id
  principal_type       = "Group"
}

resource "azurerm_role_assignment" "platform_rotates_secrets" {
  count = var.platform_principal_id == null ? 0 : 1

  name                 = uuidv5("url", "${var.names.key_vault}/${var.platform_principal_id}/Key Vault Secrets Officer")
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets Officer"
  principal_id         = var.platform_principal_id
  principal_type       = "ServicePrincipal"
}
