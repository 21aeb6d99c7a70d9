terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.0"
    }
  }
}

provider "azurerm" {
  subscription_id = "20000000-0000-0000-0000-000000000001"

  features {
    key_vault {
      purge_soft_delete_on_destroy    = true
      recover_soft_deleted_key_vaults = false
    }
  }
}

data "azurerm_client_config" "me" {}

data "azurerm_kubernetes_cluster" "this" {
  name                = "aks-dev-weu"
  resource_group_name = "rg-platform-dev"
}

data "azurerm_dns_zone" "this" {
  name                = "dev.apps.contoso.com"
  resource_group_name = "rg-platform-dns"
}

data "azurerm_log_analytics_workspace" "this" {
  name                = "log-dev-weu"
  resource_group_name = "rg-platform-dev"
}

resource "azurerm_resource_group" "this" {
  name     = "rg-shop-dev"
  location = "West Europe"
  tags     = { owner-team = "payments" }
}

resource "azurerm_user_assigned_identity" "this" {
  name                = "id-shop-dev"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
}

resource "azurerm_key_vault" "this" {
  name                          = "kv-shop-dev"
  location                      = azurerm_resource_group.this.location
  resource_group_name           = azurerm_resource_group.this.name
  tenant_id                     = data.azurerm_client_config.me.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  public_network_access_enabled = false

  network_acls {
    bypass         = "AzureServices"
    default_action = "Deny"
  }
}

resource "azurerm_postgresql_flexible_server" "this" {
  name                          = "psql-shop-dev"
  location                      = azurerm_resource_group.this.location
  resource_group_name           = azurerm_resource_group.this.name
  version                       = "16"
  sku_name                      = "B_Standard_B1ms"
  storage_mb                    = 32768
  public_network_access_enabled = false

  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = data.azurerm_client_config.me.tenant_id
  }
}

resource "azurerm_postgresql_flexible_server_active_directory_administrator" "this" {
  server_name         = azurerm_postgresql_flexible_server.this.name
  resource_group_name = azurerm_resource_group.this.name
  tenant_id           = data.azurerm_client_config.me.tenant_id
  object_id           = azurerm_user_assigned_identity.this.principal_id
  principal_name      = azurerm_user_assigned_identity.this.name
  principal_type      = "ServicePrincipal"
}

resource "azurerm_postgresql_flexible_server_database" "this" {
  name      = "shop"
  server_id = azurerm_postgresql_flexible_server.this.id
}

resource "azurerm_dns_cname_record" "this" {
  name                = "shop"
  zone_name           = data.azurerm_dns_zone.this.name
  resource_group_name = data.azurerm_dns_zone.this.resource_group_name
  ttl                 = 300
  record              = "ingress.aks-dev-weu.contoso.com"
  tags                = { appstore-request-id = "req-1" }
}

resource "azurerm_role_assignment" "workload" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "team" {
  name                 = "44444444-4444-4444-4444-444444444444"
  scope                = azurerm_resource_group.this.id
  role_definition_name = "Contributor"
  principal_id         = "55555555-5555-5555-5555-555555555555"
}

resource "azurerm_monitor_action_group" "team" {
  name                = "ag-shop-dev"
  resource_group_name = azurerm_resource_group.this.name
  short_name          = "shop"

  email_receiver {
    name                    = "owner-team"
    email_address           = "payments@example.com"
    use_common_alert_schema = true
  }
}

resource "azurerm_monitor_metric_alert" "vault" {
  name                = "alert-shop-dev-vault"
  resource_group_name = azurerm_resource_group.this.name
  scopes              = [azurerm_key_vault.this.id]

  criteria {
    metric_namespace = "Microsoft.KeyVault/vaults"
    metric_name      = "Availability"
    aggregation      = "Average"
    operator         = "LessThan"
    threshold        = 99.5

    dimension {
      name     = "ActivityType"
      operator = "Include"
      values   = ["vault"]
    }
  }

  action {
    action_group_id = azurerm_monitor_action_group.team.id
  }
}

resource "azurerm_consumption_budget_resource_group" "this" {
  name              = "budget-shop-dev"
  resource_group_id = azurerm_resource_group.this.id
  amount            = 900

  time_period {
    start_date = formatdate("YYYY-MM-01'T'00:00:00'Z'", plantimestamp())
  }

  notification {
    operator       = "GreaterThanOrEqualTo"
    threshold      = 80
    contact_emails = ["payments@example.com"]
    contact_groups = [azurerm_monitor_action_group.team.id]
  }

  notification {
    operator       = "GreaterThanOrEqualTo"
    threshold      = 100
    threshold_type = "Forecasted"
    contact_emails = ["payments@example.com"]
  }
}

resource "azurerm_monitor_diagnostic_setting" "vault" {
  name                       = "to-landing-zone"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = data.azurerm_log_analytics_workspace.this.id

  enabled_log {
    category_group = "allLogs"
  }

  enabled_metric {
    category = "AllMetrics"
  }
}

output "vault_uri" {
  value = azurerm_key_vault.this.vault_uri
}

output "database_host" {
  value = azurerm_postgresql_flexible_server.this.fqdn
}

output "cluster_fqdn" {
  value = data.azurerm_kubernetes_cluster.this.fqdn
}
