output "resource_group" {
  description = "Name of the environment's resource group."
  value       = module.environment.resource_group
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

output "site_name" {
  description = "Name of the static web app; the pipeline publishes to it."
  value       = module.site.site_name
}

output "default_hostname" {
  description = "The host name that Azure gave the site; the application's DNS name leads to it."
  value       = module.site.default_hostname
}
