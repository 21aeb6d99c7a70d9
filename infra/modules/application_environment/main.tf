# One environment of one application. The AKS namespace and the federated credential of the repository are not here:
# the App Store owns them (azurerm has no managed namespace; the credential needs the repository's subject).

locals {
  tags = merge(var.tags, {
    "appstore-request-id" = var.request_id
    "exposure"            = var.public_endpoint ? "public" : "internal"
  })
  suffix        = "${var.application}-${var.environment}"
  is_production = var.environment == "prod"
  with_database = var.database == "postgres"
}

resource "azurerm_resource_group" "this" {
  name     = var.names.resource_group
  location = var.location
  tags     = local.tags
}

# The identity the application runs under (AKS workload identity).
resource "azurerm_user_assigned_identity" "workload" {
  count = var.runs_in_cluster ? 1 : 0

  name                = var.names.identity
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

# The identity the repository's pipeline deploys with: it may push the application's images and change its namespace
# (or what the application runs on instead), and it may not read what the application may read.
resource "azurerm_user_assigned_identity" "deployment" {
  name                = "${var.names.identity}-deploy"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

resource "azurerm_dns_cname_record" "application" {
  count = var.runs_in_cluster ? 1 : 0

  name                = var.dns.record
  zone_name           = var.dns.zone_name
  resource_group_name = var.dns.zone_resource_group
  ttl                 = 300
  record              = var.dns.target
  tags                = local.tags
}
