output "resource_group" {
  description = "Name of the environment's resource group."
  value       = azurerm_resource_group.this.name
}

output "identity_id" {
  description = "Resource id of the workload identity; the federated credential of the pods hangs below it; null outside a cluster."
  value       = one(azurerm_user_assigned_identity.workload[*].id)
}

output "identity_client_id" {
  description = "Client id the application signs in with; null outside a cluster."
  value       = one(azurerm_user_assigned_identity.workload[*].client_id)
}

output "identity_principal_id" {
  description = "Object id of the workload identity, for role assignments elsewhere; null outside a cluster."
  value       = one(azurerm_user_assigned_identity.workload[*].principal_id)
}

output "deployment_identity_id" {
  description = "Resource id of the deployment identity; the federated credential of the repository hangs below it."
  value       = azurerm_user_assigned_identity.deployment.id
}

output "deployment_client_id" {
  description = "Client id the repository's pipeline signs in with."
  value       = azurerm_user_assigned_identity.deployment.client_id
}

output "key_vault_uri" {
  description = "Address of the Key Vault."
  value       = azurerm_key_vault.this.vault_uri
}

output "database_host" {
  description = "Host name of the PostgreSQL server; empty without a database."
  value       = local.with_database ? azurerm_postgresql_flexible_server.this[0].fqdn : ""
}

output "database_name" {
  description = "Name of the application's database; empty without a database."
  value       = local.with_database ? azurerm_postgresql_flexible_server_database.application[0].name : ""
}

output "hostname" {
  description = "DNS name the application answers under."
  value       = "${var.dns.record}.${var.dns.zone_name}"
}

output "cluster_id" {
  description = "Resource id of the cluster that the application runs in, its own one or the landing zone's."
  value       = local.cluster_scope
}

output "deployment_principal_id" {
  description = "Object id of the deployment identity, for role assignments elsewhere."
  value       = azurerm_user_assigned_identity.deployment.principal_id
}

output "action_group_id" {
  description = "Resource id of the action group that alerts go to."
  value       = azurerm_monitor_action_group.team.id
}

output "tags" {
  description = "Tags that every resource of the environment carries."
  value       = local.tags
}
