resource "azurerm_monitor_action_group" "team" {
  name                = "ag-${local.suffix}"
  resource_group_name = azurerm_resource_group.this.name
  location            = "global"
  short_name          = substr(var.application, 0, 12)
  enabled             = true
  tags                = local.tags

  email_receiver {
    name                    = "owner-team"
    email_address           = var.contact_email
    use_common_alert_schema = true
  }

  dynamic "webhook_receiver" {
    for_each = var.alert_webhook == null ? [] : [var.alert_webhook]

    content {
      name                    = "app-store"
      service_uri             = webhook_receiver.value.service_uri
      use_common_alert_schema = true

      aad_auth {
        object_id      = webhook_receiver.value.object_id
        identifier_uri = webhook_receiver.value.identifier_uri
        tenant_id      = var.tenant_id
      }
    }
  }
}

resource "azurerm_monitor_metric_alert" "vault_availability" {
  name                = "alert-${local.suffix}-vault-availability"
  resource_group_name = azurerm_resource_group.this.name
  description         = "The Key Vault answers fewer than 99 % of the requests: the application cannot read its secrets."
  scopes              = [azurerm_key_vault.this.id]
  severity            = local.is_production ? 1 : 3
  frequency           = "PT5M"
  window_size         = "PT15M"
  auto_mitigate       = true
  enabled             = true
  tags                = local.tags

  criteria {
    metric_namespace = "Microsoft.KeyVault/vaults"
    metric_name      = "Availability"
    aggregation      = "Average"
    operator         = "LessThan"
    threshold        = 99
  }

  action {
    action_group_id = azurerm_monitor_action_group.team.id
  }
}

resource "azurerm_monitor_metric_alert" "database_storage" {
  count = local.with_database ? 1 : 0

  name                = "alert-${local.suffix}-database-storage"
  resource_group_name = azurerm_resource_group.this.name
  description         = "The database has used 85 % of its disk: it turns read-only when the disk is full."
  scopes              = [azurerm_postgresql_flexible_server.this[0].id]
  severity            = local.is_production ? 1 : 3
  frequency           = "PT15M"
  window_size         = "PT1H"
  auto_mitigate       = true
  enabled             = true
  tags                = local.tags

  criteria {
    metric_namespace = "Microsoft.DBforPostgreSQL/flexibleServers"
    metric_name      = "storage_percent"
    aggregation      = "Average"
    operator         = "GreaterThan"
    threshold        = 85
  }

  action {
    action_group_id = azurerm_monitor_action_group.team.id
  }
}

resource "azurerm_monitor_diagnostic_setting" "vault" {
  name                       = "to-landing-zone"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = var.log_workspace_id

  enabled_log {
    category_group = "allLogs"
  }

  enabled_metric {
    category = "AllMetrics"
  }
}

resource "azurerm_monitor_diagnostic_setting" "database" {
  count = local.with_database ? 1 : 0

  name                       = "to-landing-zone"
  target_resource_id         = azurerm_postgresql_flexible_server.this[0].id
  log_analytics_workspace_id = var.log_workspace_id

  enabled_log {
    category_group = "allLogs"
  }

  enabled_metric {
    category = "AllMetrics"
  }
}
