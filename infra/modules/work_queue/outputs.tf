output "endpoint" {
  description = "Host name of the Service Bus namespace."
  value       = "${azurerm_servicebus_namespace.this.name}.servicebus.windows.net"
}

output "scaler_identity_id" {
  description = "Resource id of the autoscaler's identity; the federated credential of KEDA hangs below it."
  value       = azurerm_user_assigned_identity.scaler.id
}

output "scaler_client_id" {
  description = "Client id that KEDA signs in with."
  value       = azurerm_user_assigned_identity.scaler.client_id
}
