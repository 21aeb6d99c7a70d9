output "site_name" {
  description = "Name of the static web app; the pipeline publishes to it."
  value       = azurerm_static_web_app.this.name
}

output "default_hostname" {
  description = "The host name that Azure gave the site; the application's DNS name leads to it."
  value       = azurerm_static_web_app.this.default_host_name
}
