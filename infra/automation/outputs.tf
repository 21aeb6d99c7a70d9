output "account_id" {
  description = "Value of the App Store's setting AUTOMATION_ACCOUNT_ID."
  value       = azurerm_automation_account.this.id
}

output "principal_id" {
  description = "Object id of the identity that runbooks work under."
  value       = azurerm_automation_account.this.identity[0].principal_id
}

output "runbooks" {
  description = "Names of the runbooks, as rules/responses names them."
  value       = keys(azurerm_automation_runbook.this)
}
