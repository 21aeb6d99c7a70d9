# Names of role assignments are GUIDs of the caller's choice. Made from what they stand for, a repeat is the same
# assignment and a plan knows them beforehand.

resource "azurerm_role_assignment" "workload_reads_secrets" {
  count = var.runs_in_cluster ? 1 : 0

  name                             = uuidv5("url", "${var.names.key_vault}/workload/Key Vault Secrets User")
  scope                            = azurerm_key_vault.this.id
  role_definition_name             = "Key Vault Secrets User"
  principal_id                     = azurerm_user_assigned_identity.workload[0].principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true # the identity is seconds old: the directory may not know it yet
}

resource "azurerm_role_assignment" "deployment_pushes_images" {
  name                             = uuidv5("url", "${var.registry_id}/${azurerm_user_assigned_identity.deployment.name}/push")
  scope                            = var.registry_id
  role_definition_name             = "Container Registry Repository Writer"
  principal_id                     = azurerm_user_assigned_identity.deployment.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
  condition_version                = "2.0"
  # The registry is shared: everything it allows is allowed in the application's own repository only.
  condition = join(" AND ", [
    for action in ["content/read", "content/write", "metadata/read", "metadata/write"] :
    "(!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/${action}'}) OR @Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase '${var.application}')"
  ])
}

# A release comes from the registry of the stage before: the pipeline copies it, and builds nothing.
resource "azurerm_role_assignment" "deployment_copies_images" {
  count = var.source_registry_id == null ? 0 : 1

  name                             = uuidv5("url", "${var.source_registry_id}/${azurerm_user_assigned_identity.deployment.name}/copy")
  scope                            = var.source_registry_id
  role_definition_name             = "Container Registry Repository Reader"
  principal_id                     = azurerm_user_assigned_identity.deployment.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
  condition_version                = "2.0"
  condition = join(" AND ", [
    for action in ["content/read", "metadata/read"] :
    "(!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/${action}'}) OR @Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase '${var.application}')"
  ])
}

resource "azurerm_role_assignment" "deployment_reaches_cluster" {
  count = var.runs_in_cluster ? 1 : 0

  name                             = uuidv5("url", "${var.cluster_id}/${azurerm_user_assigned_identity.deployment.name}/reach")
  scope                            = local.cluster_scope
  role_definition_name             = "Azure Kubernetes Service Cluster User Role"
  principal_id                     = azurerm_user_assigned_identity.deployment.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_role_assignment" "deployment_writes_namespace" {
  count = var.runs_in_cluster ? 1 : 0

  name                             = uuidv5("url", "${var.cluster_id}/${var.namespace}/${azurerm_user_assigned_identity.deployment.name}/write")
  scope                            = "${local.cluster_scope}/namespaces/${var.namespace}"
  role_definition_name             = "Azure Kubernetes Service RBAC Writer"
  principal_id                     = azurerm_user_assigned_identity.deployment.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
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
