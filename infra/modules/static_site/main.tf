# A static web app of one environment, under the application's own DNS name. Nothing runs here: files, and what
# staticwebapp.config.json says about them.

locals {
  suffix        = "${var.application}-${var.environment}"
  is_production = var.environment == "prod"
  # The site's files are on Azure's edge everywhere; only its management data lies in one of these regions.
  offered_in = ["centralus", "eastasia", "eastus2", "westeurope", "westus2"]
}

resource "azurerm_static_web_app" "this" {
  name                               = var.names.static_site
  location                           = contains(local.offered_in, var.location) ? var.location : "westeurope"
  resource_group_name                = var.resource_group
  sku_tier                           = var.sku
  sku_size                           = var.sku
  configuration_file_changes_enabled = true  # staticwebapp.config.json of the release counts: routes, headers
  preview_environments_enabled       = false # what is public has been reviewed and attested
  public_network_access_enabled      = true
  tags                               = var.tags
}

resource "azurerm_dns_cname_record" "application" {
  name                = var.dns.record
  zone_name           = var.dns.zone_name
  resource_group_name = var.dns.zone_resource_group
  ttl                 = 300
  record              = azurerm_static_web_app.this.default_host_name
  tags                = var.tags
}

# Azure asks the DNS name before it takes it, and keeps a certificate for it.
resource "azurerm_static_web_app_custom_domain" "application" {
  static_web_app_id = azurerm_static_web_app.this.id
  domain_name       = "${azurerm_dns_cname_record.application.name}.${azurerm_dns_cname_record.application.zone_name}"
  validation_type   = "cname-delegation"
}

# Names of role assignments are made from what they stand for: a repeat is the same assignment.
resource "azurerm_role_assignment" "deployment_publishes" {
  name                             = uuidv5("url", "${var.names.static_site}/deployment/Website Contributor")
  scope                            = azurerm_static_web_app.this.id
  role_definition_name             = "Website Contributor"
  principal_id                     = var.deployment_principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_monitor_metric_alert" "site_errors" {
  name                = "alert-${local.suffix}-site-errors"
  resource_group_name = var.resource_group
  description         = "The site answers many requests with an error: a release lacks files, or somebody looks for holes."
  scopes              = [azurerm_static_web_app.this.id]
  severity            = local.is_production ? 1 : 3
  frequency           = "PT5M"
  window_size         = "PT15M"
  auto_mitigate       = true
  enabled             = true
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.Web/staticSites"
    metric_name      = "SiteErrors"
    aggregation      = "Total"
    operator         = "GreaterThan"
    threshold        = 100
  }

  action {
    action_group_id = var.action_group_id
  }
}
