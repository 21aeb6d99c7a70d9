# The App Store's own namespace: other programs send commands, the App Store receives them, nobody has a key.
# infra/servicebus.json says the same for the emulator; a test compares the two.

locals {
  queue = "commands"
}

resource "azurerm_servicebus_namespace" "this" {
  #checkov:skip=CKV_AZURE_199:the SKU Standard has no second encryption; messages are encrypted by the platform
  #checkov:skip=CKV_AZURE_201:the SKU Standard takes no key of our own
  #checkov:skip=CKV_AZURE_202:the namespace calls nobody: an identity would be one that nobody uses
  #checkov:skip=CKV_AZURE_204:the SKU Standard has no private endpoints; keys are off, so an address without a role opens nothing
  name                = var.name
  location            = var.location
  resource_group_name = var.resource_group
  sku                 = "Standard"
  minimum_tls_version = "1.2"
  local_auth_enabled  = false # Entra ID only: no connection string exists
  # Standard has no private endpoints (Premium has): the address is public, and worth nothing without a role.
  public_network_access_enabled = true
  tags                          = var.tags
}

resource "azurerm_servicebus_queue" "commands" {
  name         = local.queue
  namespace_id = azurerm_servicebus_namespace.this.id

  lock_duration                           = "PT1M"
  max_delivery_count                      = 5
  default_message_ttl                     = "P7D"
  dead_lettering_on_message_expiration    = true
  requires_duplicate_detection            = true
  duplicate_detection_history_time_window = "PT1H"
  requires_session                        = true # one for each application: its commands keep their order
}

# Names of role assignments are made from what they stand for: a repeat is the same assignment.
resource "azurerm_role_assignment" "app_receives" {
  name                             = uuidv5("url", "${var.name}/${local.queue}/app/Azure Service Bus Data Receiver")
  scope                            = azurerm_servicebus_queue.commands.id
  role_definition_name             = "Azure Service Bus Data Receiver"
  principal_id                     = var.app_principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# Replaying a dead letter is sending it once more.
resource "azurerm_role_assignment" "app_replays" {
  name                             = uuidv5("url", "${var.name}/${local.queue}/app/Azure Service Bus Data Sender")
  scope                            = azurerm_servicebus_queue.commands.id
  role_definition_name             = "Azure Service Bus Data Sender"
  principal_id                     = var.app_principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# The right to send is the right to ask for any Day-2 operation of any application: programs only, never people.
resource "azurerm_role_assignment" "senders" {
  for_each = var.sender_principal_ids

  name                             = uuidv5("url", "${var.name}/${local.queue}/${each.key}/Azure Service Bus Data Sender")
  scope                            = azurerm_servicebus_queue.commands.id
  role_definition_name             = "Azure Service Bus Data Sender"
  principal_id                     = each.value
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_monitor_metric_alert" "dead_letters" {
  name                = "alert-appstore-commands-dead-letters"
  resource_group_name = var.resource_group
  description         = "Commands lie in the dead-letter queue: an operator has to replay or discard them."
  scopes              = [azurerm_servicebus_namespace.this.id]
  severity            = 1
  frequency           = "PT5M"
  window_size         = "PT15M"
  auto_mitigate       = true
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
