mock_provider "azurerm" {
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-payments-api-dev/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-payments-api-dev"
      principal_id = "30000000-0000-0000-0000-000000000001"
      client_id    = "30000000-0000-0000-0000-000000000002"
    }
  }

  mock_resource "azurerm_kubernetes_cluster" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-payments-api-dev/providers/Microsoft.ContainerService/managedClusters/aks-payments-api-dev"
    }
  }
}

variables {
  application = "payments-api"
  environment = "dev"
  request_id  = "req-7f3a"
  location    = "westeurope"
  tags = {
    application         = "payments-api"
    environment         = "dev"
    owner-team          = "payments"
    cost-center         = "CC-1042"
    data-classification = "internal"
    criticality         = "medium"
    managed-by          = "appstore"
  }
  names = {
    resource_group = "rg-payments-api-dev"
    identity       = "id-payments-api-dev"
    key_vault      = "kv-paymentsapidev-1a2b3c"
    postgres       = "psql-payments-api-dev-1a2b3c"
  }
  database      = "postgres"
  team_group_id = "40000000-0000-0000-0000-000000000001"
  team_role     = "Contributor"
  dns = {
    zone_name           = "dev.apps.contoso.com"
    zone_resource_group = "rg-platform-dns"
    record              = "payments-api"
    target              = "ingress.aks-dev-weu.contoso.com"
  }
  cluster_id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-payments-api-dev/providers/Microsoft.ContainerService/managedClusters/aks-payments-api-dev"
  dedicated_cluster = {
    name       = "aks-payments-api-dev"
    node_size  = "Standard_D4ds_v5"
    node_count = 3
  }
  namespace        = "payments-api-dev"
  registry_id      = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-dev/providers/Microsoft.ContainerRegistry/registries/crcontosodev"
  log_workspace_id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-dev/providers/Microsoft.OperationalInsights/workspaces/log-dev-weu"
  monthly_budget   = 200
  budget_start     = "2026-11-01T00:00:00Z"
  contact_email    = "payments@contoso.com"
  tenant_id        = "11111111-1111-1111-1111-111111111111"
}

run "the_cluster_lets_nobody_in_without_entra" {
  command = plan

  assert {
    condition = (
      azurerm_kubernetes_cluster.dedicated[0].local_account_disabled &&
      azurerm_kubernetes_cluster.dedicated[0].role_based_access_control_enabled &&
      azurerm_kubernetes_cluster.dedicated[0].azure_active_directory_role_based_access_control[0].azure_rbac_enabled &&
      azurerm_kubernetes_cluster.dedicated[0].oidc_issuer_enabled &&
      azurerm_kubernetes_cluster.dedicated[0].workload_identity_enabled &&
      !azurerm_kubernetes_cluster.dedicated[0].run_command_enabled
    )
    error_message = "The cluster must know people and workloads by Entra ID alone."
  }

  assert {
    condition = (
      azurerm_kubernetes_cluster.dedicated[0].default_node_pool[0].vm_size == "Standard_D4ds_v5" &&
      azurerm_kubernetes_cluster.dedicated[0].default_node_pool[0].node_count == 3 &&
      !azurerm_kubernetes_cluster.dedicated[0].default_node_pool[0].auto_scaling_enabled &&
      azurerm_kubernetes_cluster.dedicated[0].sku_tier == "Free"
    )
    error_message = "What runs is what was estimated."
  }

  assert {
    condition     = azurerm_kubernetes_cluster.dedicated[0].tags["appstore-request-id"] == "req-7f3a"
    error_message = "The cluster must say whose it is."
  }
}

run "roles_are_on_the_new_cluster" {
  command = apply

  assert {
    condition = (
      azurerm_role_assignment.deployment_reaches_cluster[0].scope == var.cluster_id &&
      azurerm_role_assignment.deployment_writes_namespace[0].scope == "${var.cluster_id}/namespaces/payments-api-dev" &&
      output.cluster_id == var.cluster_id
    )
    error_message = "The pipeline must reach the cluster that was made, under the id that was planned."
  }

  assert {
    condition = (
      azurerm_role_assignment.nodes_pull_images[0].principal_id == "30000000-0000-0000-0000-000000000001" &&
      azurerm_role_assignment.nodes_pull_images[0].role_definition_name == "Container Registry Repository Reader"
    )
    error_message = "The nodes may read the application's images."
  }
}

run "another_id_is_refused" {
  command = plan

  variables {
    cluster_id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-dev/providers/Microsoft.ContainerService/managedClusters/aks-dev-weu"
  }

  expect_failures = [var.dedicated_cluster]
}

run "outside_a_cluster_there_is_nothing_of_a_cluster" {
  command = plan

  variables {
    runs_in_cluster   = false
    dedicated_cluster = null
    database          = "none"
  }

  assert {
    condition = (
      length(azurerm_user_assigned_identity.workload) + length(azurerm_dns_cname_record.application) +
      length(azurerm_role_assignment.workload_reads_secrets) + length(azurerm_role_assignment.deployment_reaches_cluster) +
      length(azurerm_role_assignment.deployment_writes_namespace) == 0
    )
    error_message = "What does not run in the cluster must have no rights there, and no identity that nobody uses."
  }
}

run "a_cluster_scales_by_events_where_the_stack_says_so" {
  command = plan

  variables {
    event_driven_scaling = true
  }

  assert {
    condition     = azurerm_kubernetes_cluster.dedicated[0].workload_autoscaler_profile[0].keda_enabled
    error_message = "Without KEDA nothing counts the messages, and a worker that scales to zero never starts."
  }
}
