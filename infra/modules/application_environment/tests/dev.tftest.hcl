mock_provider "azurerm" {
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-payments-api-dev/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-payments-api-dev"
      principal_id = "30000000-0000-0000-0000-000000000001"
      client_id    = "30000000-0000-0000-0000-000000000002"
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
  cluster_id       = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-dev/providers/Microsoft.ContainerService/managedClusters/aks-dev-weu"
  namespace        = "payments-api-dev"
  registry_id      = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-dev/providers/Microsoft.ContainerRegistry/registries/crcontosodev"
  log_workspace_id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-dev/providers/Microsoft.OperationalInsights/workspaces/log-dev-weu"
  monthly_budget   = 200
  budget_start     = "2026-11-01T00:00:00Z"
  contact_email    = "payments@contoso.com"
  tenant_id        = "11111111-1111-1111-1111-111111111111"
}

run "the_vault_is_closed_and_says_so" {
  command = plan

  assert {
    condition = (
      azurerm_key_vault.this.rbac_authorization_enabled &&
      !azurerm_key_vault.this.public_network_access_enabled &&
      azurerm_key_vault.this.network_acls[0].default_action == "Deny"
    )
    error_message = "The vault must use RBAC and be closed to the public network, in writing."
  }

  assert {
    condition     = !azurerm_key_vault.this.purge_protection_enabled
    error_message = "In dev a removed vault must free its name."
  }
}

run "the_database_knows_no_password" {
  command = plan

  assert {
    condition = (
      azurerm_postgresql_flexible_server.this[0].authentication[0].active_directory_auth_enabled &&
      !azurerm_postgresql_flexible_server.this[0].authentication[0].password_auth_enabled &&
      azurerm_postgresql_flexible_server.this[0].administrator_password == null
    )
    error_message = "PostgreSQL must accept Entra identities only."
  }

  assert {
    condition     = !azurerm_postgresql_flexible_server.this[0].public_network_access_enabled
    error_message = "The database must be closed to the public network."
  }

  assert {
    condition     = azurerm_postgresql_flexible_server_database.application[0].name == "payments_api"
    error_message = "The database is named after the application."
  }
}

run "every_taggable_resource_carries_the_request" {
  command = plan

  assert {
    condition = alltrue([
      for tags in [
        azurerm_resource_group.this.tags, azurerm_user_assigned_identity.workload[0].tags, azurerm_key_vault.this.tags,
        azurerm_postgresql_flexible_server.this[0].tags, azurerm_dns_cname_record.application[0].tags,
        azurerm_monitor_action_group.team.tags, azurerm_monitor_metric_alert.vault_availability.tags,
        azurerm_monitor_metric_alert.database_storage[0].tags,
      ] : tags["appstore-request-id"] == "req-7f3a" && tags["owner-team"] == "payments" && tags["exposure"] == "internal"
    ])
    error_message = "A resource lacks the governance tags or the request id."
  }
}

run "alerts_go_to_the_owner_team_only_unless_a_webhook_is_named" {
  command = plan

  assert {
    condition     = length(azurerm_monitor_action_group.team.webhook_receiver) == 0
    error_message = "Without a webhook alerts go to the owner team only."
  }
}

run "alerts_go_to_the_webhook_with_a_token" {
  command = plan

  variables {
    alert_webhook = {
      service_uri    = "https://appstore.contoso.com/api/alerts/azure-monitor"
      object_id      = "30000000-0000-0000-0000-00000000000a"
      identifier_uri = "api://appstore"
    }
  }

  assert {
    condition = (
      azurerm_monitor_action_group.team.webhook_receiver[0].service_uri == var.alert_webhook.service_uri &&
      azurerm_monitor_action_group.team.webhook_receiver[0].use_common_alert_schema &&
      azurerm_monitor_action_group.team.webhook_receiver[0].aad_auth[0].object_id == var.alert_webhook.object_id &&
      azurerm_monitor_action_group.team.webhook_receiver[0].aad_auth[0].identifier_uri == var.alert_webhook.identifier_uri &&
      azurerm_monitor_action_group.team.webhook_receiver[0].aad_auth[0].tenant_id == var.tenant_id
    )
    error_message = "The webhook gets alerts in the common schema, with a token for its application."
  }
}

run "a_webhook_is_never_told_over_plain_http" {
  command = plan

  variables {
    alert_webhook = {
      service_uri    = "http://appstore.contoso.com/api/alerts/azure-monitor"
      object_id      = "30000000-0000-0000-0000-00000000000a"
      identifier_uri = "api://appstore"
    }
  }

  expect_failures = [var.alert_webhook]
}

run "roles_are_least_privilege" {
  command = apply

  assert {
    condition = (
      azurerm_role_assignment.workload_reads_secrets[0].role_definition_name == "Key Vault Secrets User" &&
      azurerm_role_assignment.workload_reads_secrets[0].principal_id == "30000000-0000-0000-0000-000000000001" &&
      azurerm_role_assignment.workload_reads_secrets[0].scope == azurerm_key_vault.this.id
    )
    error_message = "The application reads secrets of its own vault and nothing more."
  }

  assert {
    condition = (
      azurerm_role_assignment.team.role_definition_name == "Contributor" &&
      azurerm_role_assignment.team.principal_type == "Group" &&
      azurerm_role_assignment.team.scope == azurerm_resource_group.this.id
    )
    error_message = "The owner team has its role on the resource group."
  }

  assert {
    condition     = length(azurerm_role_assignment.platform_rotates_secrets) == 0
    error_message = "The platform gets access only when it is named."
  }

  assert {
    condition     = output.hostname == "payments-api.dev.apps.contoso.com" && output.identity_client_id == "30000000-0000-0000-0000-000000000002"
    error_message = "Outputs must describe what was made."
  }
}

run "the_platform_is_named" {
  command = plan

  variables {
    platform_principal_id = "50000000-0000-0000-0000-000000000001"
  }

  assert {
    condition     = azurerm_role_assignment.platform_rotates_secrets[0].role_definition_name == "Key Vault Secrets Officer"
    error_message = "The platform may rotate secrets."
  }
}

run "without_a_database" {
  command = plan

  variables {
    database = "none"
    names = {
      resource_group = "rg-payments-api-dev"
      identity       = "id-payments-api-dev"
      key_vault      = "kv-paymentsapidev-1a2b3c"
    }
  }

  assert {
    condition = (
      length(azurerm_postgresql_flexible_server.this) == 0 &&
      length(azurerm_monitor_diagnostic_setting.database) == 0 &&
      output.database_host == ""
    )
    error_message = "No database was ordered."
  }
}

run "the_budget_warns_before_and_after" {
  command = plan

  assert {
    condition = (
      azurerm_consumption_budget_resource_group.month.amount == 200 &&
      toset([
        for one in azurerm_consumption_budget_resource_group.month.notification :
        "${one.threshold_type} ${one.threshold}" if one.enabled && length(one.contact_emails) == 1
      ]) == toset(["Forecasted 100", "Actual 50", "Actual 80", "Actual 100"])
    )
    error_message = "The budget must tell on the forecast, at 50 %, at 80 % and at 100 %."
  }
}

run "the_environment_is_open_only_when_declared" {
  command = plan

  variables {
    public_endpoint       = true
    public_network_access = true
  }

  assert {
    condition     = azurerm_key_vault.this.public_network_access_enabled && azurerm_key_vault.this.tags["exposure"] == "public"
    error_message = "What is declared must be made."
  }
}

run "the_cluster_is_the_landing_zones" {
  command = plan

  assert {
    condition = (
      length(azurerm_kubernetes_cluster.dedicated) == 0 &&
      azurerm_role_assignment.deployment_reaches_cluster[0].scope == var.cluster_id &&
      output.cluster_id == var.cluster_id
    )
    error_message = "Without a cluster of its own the application runs in the one that is there."
  }
}
