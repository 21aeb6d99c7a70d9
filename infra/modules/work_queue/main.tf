# A queue of one environment: the application may receive, the autoscaler may count, nobody has a key.

locals {
  suffix        = "${var.application}-${var.environment}"
  is_production = var.environment == "prod"
}

resource "azurerm_servicebus_namespace" "this" {
  #checkov:skip=CKV_AZURE_199:the SKU Standard has no second encryption; messages are encrypted by the platform
  #checkov:skip=CKV_AZURE_201:the SKU Standard takes no key of our own
  #checkov:skip=CKV_AZURE_202:the namespace calls nobody: an identity would be one that nobody uses
  #checkov:skip=CKV_AZURE_204:the SKU Standard has no private endpoints; keys are off, so an address without a role opens nothing
  name                = var.names.service_bus
  location            = var.location
  resource_group_name = var.resource_group
  sku                 = "Standard"
  minimum_tls_version = "1.2"
  local_auth_enabled  = false # Entra ID only: no connection string exists
  # Standard has no private endpoints (Premium has): the address is public, and worth nothing without a role.
  public_network_access_enabled = true
  tags                          = var.tags
}

resource "azurerm_servicebus_queue" "work" {
  name         = "work"
  namespace_id = azurerm_servicebus_namespace.this.id

  lock_duration                           = "PT1M" # the consumer renews it while it works
  max_delivery_count                      = var.max_delivery_count
  default_message_ttl                     = "P14D"
  dead_lettering_on_message_expiration    = true # what nobody got to in time is kept, not lost
  requires_duplicate_detection            = true
  duplicate_detection_history_time_window = "PT1H"
}

# Names of role assignments are made from what they stand for: a repeat is the same assignment.
resource "azurerm_role_assignment" "workload_receives" {
  name                             = uuidv5("url", "${var.names.service_bus}/work/workload/Azure Service Bus Data Receiver")
  scope                            = azurerm_servicebus_queue.work.id
  role_definition_name             = "Azure Service Bus Data Receiver"
  principal_id                     = var.workload_principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# KEDA reads how many messages wait, which needs the right to manage the queue. An identity of its own has it, so that the
# application does not: the App Store lets the cluster's KEDA, and nobody else, act as it.
resource "azurerm_user_assigned_identity" "scaler" {
  name                = "${var.names.identity}-scale"
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags
}

resource "azurerm_role_assignment" "scaler_counts" {
  name                             = uuidv5("url", "${var.names.service_bus}/work/scaler/Azure Service Bus Data Owner")
  scope                            = azurerm_servicebus_queue.work.id
  role_definition_name             = "Azure Service Bus Data Owner"
  principal_id                     = azurerm_user_assigned_identity.scaler.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_monitor_metric_alert" "dead_letters" {
  name                = "alert-${local.suffix}-dead-letters"
  resource_group_name = var.resource_group
  description         = "Messages lie in the dead-letter queue: somebody has to look at them, nothing comes back by itself."
  scopes              = [azurerm_servicebus_namespace.this.id]
  severity            = local.is_production ? 1 : 3
  frequency           = "PT5M"
  window_size         = "PT15M"
  auto_mitigate       = true
  enabled             = true
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.ServiceBus/namespaces"
    metric_name      = "DeadletteredMessages"
    aggregation      = "Maximum"
    operator         = "GreaterThan"
    threshold        = 0
  }

  action {
    action_group_id = var.action_group_id
  }
}

resource "azurerm_monitor_diagnostic_setting" "queue" {
  name                       = "to-landing-zone"
  target_resource_id         = azurerm_servicebus_namespace.this.id
  log_analytics_workspace_id = var.log_workspace_id

  enabled_log {
    category_group = "allLogs"
  }

  enabled_metric {
    category = "AllMetrics"
  }
}
