output "account_url" {
  description = "Address of the blob service."
  value       = azurerm_storage_account.this.primary_blob_endpoint
}
