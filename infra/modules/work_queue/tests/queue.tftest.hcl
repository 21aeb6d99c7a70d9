mock_provider "azurerm" {
  mock_resource "azurerm_servicebus_namespace" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-orders-dev/providers/Microsoft.ServiceBus/namespaces/sb-orders-dev-1a2b3c"
    }
  }

  mock_resource "azurerm_servicebus_queue" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-orders-dev/providers/Microsoft.ServiceBus/namespaces/sb-orders-dev-1a2b3c/queues/work"
    }
  }

  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      principal_id = "30000000-0000-0000-0000-000000000003"
    }
  }
}

variables {
  application    = "orders"
  environment    = "dev"
  location       = "westeurope"
  resource_group = "rg-orders-dev"
  names = {
    identity    = "id-orders-dev"
    service_bus = "sb-orders-dev-1a2b3c"
  }
  tags                  = { "appstore-request-id" = "req-7f3a" }
  workload_principal_id = "30000000-0000-0000-0000-000000000001"
  action_group_id       = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-orders-dev/providers/Microsoft.Insights/actionGroups/ag-orders-dev"
  log_workspace_id      = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-dev/providers/Microsoft.OperationalInsights/workspaces/log-dev-weu"
  max_delivery_count    = 5
}

run "nobody_has_a_key" {
  command = plan

  assert {
    condition     = !azurerm_servicebus_namespace.this.local_auth_enabled && azurerm_servicebus_namespace.this.minimum_tls_version == "1.2"
    error_message = "The namespace must know Entra ID alone."
  }
}

run "nothing_is_lost_silently" {
  command = plan

  assert {
    condition = (
      azurerm_servicebus_queue.work.max_delivery_count == 5 &&
      azurerm_servicebus_queue.work.dead_lettering_on_message_expiration &&
      azurerm_servicebus_queue.work.requires_duplicate_detection &&
      azurerm_monitor_metric_alert.dead_letters.criteria[0].threshold == 0
    )
    error_message = "What is not done must become a dead letter, and somebody must be told."
  }
}

run "the_application_receives_and_the_scaler_counts" {
  command = apply

  assert {
    condition = (
      azurerm_role_assignment.workload_receives.role_definition_name == "Azure Service Bus Data Receiver" &&
      azurerm_role_assignment.workload_receives.principal_id == var.workload_principal_id &&
      azurerm_role_assignment.scaler_counts.principal_id == "30000000-0000-0000-0000-000000000003" &&
      azurerm_role_assignment.workload_receives.scope == azurerm_servicebus_queue.work.id &&
      azurerm_role_assignment.scaler_counts.scope == azurerm_servicebus_queue.work.id
    )
    error_message = "The application may only receive; counting is another identity's right, on this queue alone."
  }
}

run "a_wrong_count_is_refused" {
  command = plan

  variables {
    max_delivery_count = 0
  }

  expect_failures = [var.max_delivery_count]
}
