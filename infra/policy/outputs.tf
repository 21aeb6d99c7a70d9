output "initiative_id" {
  description = "ARM id of the initiative."
  value       = azurerm_management_group_policy_set_definition.applications.id
}

output "assignments" {
  description = "Management group of each assignment."
  value       = { for name, item in azurerm_management_group_policy_assignment.this : name => item.management_group_id }
}

output "exemptions" {
  description = "When Azure ends each exemption."
  value       = { for name, item in azurerm_resource_group_policy_exemption.this : name => item.expires_on }
}
