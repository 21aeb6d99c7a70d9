output "resource_group" {
  description = "Name of the environment's resource group."
  value       = module.environment.resource_group
}

output "identity_id" {
  description = "Resource id of the workload identity; the federated credential of the pods hangs below it."
  value       = module.environment.identity_id
}

output "identity_client_id" {
  description = "Client id the application signs in with."
  value       = module.environment.identity_client_id
}

output "identity_principal_id" {
  description = "Object id of the workload identity, for role assignments elsewhere."
  value       = module.environment.identity_principal_id
}

output "deployment_identity_id" {
  description = "Resource id of the deployment identity; the federated credential of the repository hangs below it."
  value       = module.environment.deployment_identity_id
}

output "deployment_client_id" {
  description = "Client id the repository's pipeline signs in with."
  value       = module.environment.deployment_client_id
}

output "key_vault_uri" {
  description = "Address of the Key Vault."
  value       = module.environment.key_vault_uri
}

output "hostname" {
  description = "DNS name the application answers under."
  value       = module.environment.hostname
}

output "storage_url" {
  description = "Address of the blob service that holds input and output."
  value       = module.store.account_url
}

output "cluster_id" {
  description = "Resource id of the cluster that the application runs in, its own one or the landing zone's."
  value       = module.environment.cluster_id
}
