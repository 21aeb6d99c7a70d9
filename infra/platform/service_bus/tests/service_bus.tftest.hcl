mock_provider "azurerm" {
  mock_resource "azurerm_servicebus_namespace" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.ServiceBus/namespaces/sb-appstore"
    }
  }

  mock_resource "azurerm_servicebus_queue" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.ServiceBus/namespaces/sb-appstore/queues/commands"
    }
  }
}

variables {
  name                 = "sb-appstore"
  location             = "westeurope"
  resource_group       = "rg-appstore"
  tags                 = { "owner-team" = "platform" }
  app_principal_id     = "30000000-0000-0000-0000-000000000001"
  sender_principal_ids = { "release-robot" = "30000000-0000-0000-0000-000000000002" }
  action_group_id      = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.Insights/actionGroups/ag-appstore"
}

run "nobody_has_a_key" {
  command = plan

  assert {
    condition     = !azurerm_servicebus_namespace.this.local_auth_enabled && azurerm_servicebus_namespace.this.minimum_tls_version == "1.2"
    error_message = "The namespace must know Entra ID alone."
  }
}

run "commands_keep_their_order_and_none_is_lost" {
  command = plan

  assert {
    condition = (
      azurerm_servicebus_queue.commands.requires_session &&
      azurerm_servicebus_queue.commands.requires_duplicate_detection &&
      azurerm_servicebus_queue.commands.dead_lettering_on_message_expiration &&
      azurerm_monitor_metric_alert.dead_letters.criteria[0].threshold == 0
    )
    error_message = "Order, duplicate detection and dead letters with an alert: that is what the queue is for."
  }
}

run "programs_send_and_the_app_receives" {
  command = apply

  assert {
    condition = (
      azurerm_role_assignment.senders["release-robot"].role_definition_name == "Azure Service Bus Data Sender" &&
      azurerm_role_assignment.senders["release-robot"].principal_type == "ServicePrincipal" &&
      azurerm_role_assignment.app_receives.role_definition_name == "Azure Service Bus Data Receiver" &&
      azurerm_role_assignment.app_receives.principal_id == var.app_principal_id &&
      azurerm_role_assignment.senders["release-robot"].scope == azurerm_servicebus_queue.commands.id
    )
    error_message = "Rights are on the queue alone, and only programs have them."
  }
}

run "a_person_is_no_object_id" {
  command = plan

  variables {
    sender_principal_ids = { "somebody" = "rae@contoso.com" }
  }

  expect_failures = [var.sender_principal_ids]
}
