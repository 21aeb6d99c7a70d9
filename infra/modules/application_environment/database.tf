locals {
  database_size = {
    dev  = { sku_name = "B_Standard_B1ms", storage_mb = 32768, backup_days = 7 }
    qa   = { sku_name = "B_Standard_B2s", storage_mb = 32768, backup_days = 14 }
    prod = { sku_name = "GP_Standard_D2ds_v5", storage_mb = 131072, backup_days = 35 }
  }[var.environment]
}

# Entra authentication only: no administrator password exists, so none can leak through plan or state.
resource "azurerm_postgresql_flexible_server" "this" {
  #checkov:skip=CKV2_AZURE_57:closed to the public network; the landing zone makes the private endpoint
  count = local.with_database ? 1 : 0

  name                          = var.names.postgres
  location                      = azurerm_resource_group.this.location
  resource_group_name           = azurerm_resource_group.this.name
  version                       = "16"
  sku_name                      = local.database_size.sku_name
  storage_mb                    = local.database_size.storage_mb
  auto_grow_enabled             = true
  backup_retention_days         = local.database_size.backup_days
  geo_redundant_backup_enabled  = local.is_production || var.paired_region != null
  public_network_access_enabled = var.public_network_access
  tags                          = local.tags

  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = var.tenant_id
  }

  dynamic "high_availability" {
    for_each = local.is_production ? ["ZoneRedundant"] : []
    content {
      mode = high_availability.value
    }
  }

  lifecycle {
    # Azure chooses the zones, and swaps them in a failover.
    ignore_changes = [zone, high_availability[0].standby_availability_zone]
  }
}

# The server serves this application alone; its identity owns the schema, so that it can sign in and migrate it.
resource "azurerm_postgresql_flexible_server_active_directory_administrator" "workload" {
  count = local.with_database ? 1 : 0

  server_name         = azurerm_postgresql_flexible_server.this[0].name
  resource_group_name = azurerm_resource_group.this.name
  tenant_id           = var.tenant_id
  object_id           = azurerm_user_assigned_identity.workload[0].principal_id
  principal_name      = azurerm_user_assigned_identity.workload[0].name
  principal_type      = "ServicePrincipal"
}

resource "azurerm_postgresql_flexible_server_database" "application" {
  count = local.with_database ? 1 : 0

  name      = replace(var.application, "-", "_")
  server_id = azurerm_postgresql_flexible_server.this[0].id
  charset   = "UTF8"
  collation = "en_US.utf8"
}
