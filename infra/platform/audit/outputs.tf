output "storage_account" {
  description = "Value of the App Store's setting APPSTORE_AUDIT_ACCOUNT."
  value       = azurerm_storage_account.this.name
}
