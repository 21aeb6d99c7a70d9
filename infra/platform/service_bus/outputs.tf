output "host" {
  description = "Host name of the namespace: the app setting SERVICEBUS__fullyQualifiedNamespace."
  value       = "${azurerm_servicebus_namespace.this.name}.servicebus.windows.net"
}
