mock_provider "azurerm" {}

variables {
  application = "payments-api"
  environment = "prod"
  request_id  = "req-7f3a"
  location    = "westeurope"
  tags = {
    application         = "payments-api"
    environment         = "prod"
    owner-team          = "payments"
    cost-center         = "CC-1042"
    data-classification = "confidential"
    criticality         = "high"
    managed-by          = "appstore"
  }
  names = {
    resource_group = "rg-payments-api-prod"
    identity       = "id-payments-api-prod"
    key_vault      = "kv-paymentsapipr-1a2b3c"
    postgres       = "psql-payments-api-prod-1a2b3c"
  }
  database      = "postgres"
  team_group_id = "40000000-0000-0000-0000-000000000001"
  team_role     = "Reader"
  dns = {
    zone_name           = "prod.apps.contoso.com"
    zone_resource_group = "rg-platform-dns"
    record              = "payments-api"
    target              = "ingress.aks-prod-weu.contoso.com"
  }
  cluster_id       = "/subscriptions/20000000-0000-0000-0000-000000000002/resourceGroups/rg-platform-prod/providers/Microsoft.ContainerService/managedClusters/aks-prod-weu"
  namespace        = "payments-api-prod"
  registry_id      = "/subscriptions/20000000-0000-0000-0000-000000000002/resourceGroups/rg-platform-prod/providers/Microsoft.ContainerRegistry/registries/crcontosoprod"
  log_workspace_id = "/subscriptions/20000000-0000-0000-0000-000000000002/resourceGroups/rg-platform-prod/providers/Microsoft.OperationalInsights/workspaces/log-prod-weu"
  monthly_budget   = 900
  budget_start     = "2026-11-01T00:00:00Z"
  contact_email    = "payments@contoso.com"
  tenant_id        = "11111111-1111-1111-1111-111111111111"
}

run "production_survives_a_mistake_and_a_zone" {
  command = plan

  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.soft_delete_retention_days == 90
    error_message = "A production vault is protected against purging."
  }

  assert {
    condition = (
      azurerm_postgresql_flexible_server.this[0].high_availability[0].mode == "ZoneRedundant" &&
      azurerm_postgresql_flexible_server.this[0].geo_redundant_backup_enabled &&
      azurerm_postgresql_flexible_server.this[0].backup_retention_days == 35
    )
    error_message = "A production database is zone redundant, with backups in the paired region."
  }

  assert {
    condition     = azurerm_role_assignment.team.role_definition_name == "Reader"
    error_message = "The owner team reads in production."
  }
}

run "the_team_cannot_be_contributor" {
  command = plan

  variables {
    team_role = "Contributor"
  }

  expect_failures = [var.team_role]
}

run "purge_protection_cannot_be_declined" {
  command = plan

  variables {
    purge_protection = false
  }

  expect_failures = [var.purge_protection]
}

run "a_mandatory_tag_is_missing" {
  command = plan

  variables {
    tags = { application = "payments-api" }
  }

  expect_failures = [var.tags]
}

run "names_outside_the_rules" {
  command = plan

  variables {
    application = "Payments_API"
    names = {
      resource_group = "rg-payments-api-prod."
      identity       = "id"
      key_vault      = "kv--payments"
      postgres       = "-psql"
    }
    budget_start = "2026-11-02T00:00:00Z"
    database     = "postgres"
  }

  expect_failures = [var.application, var.names, var.budget_start]
}

run "a_release_is_copied_from_the_stage_before_and_from_its_own_repository_only" {
  command = plan

  variables {
    source_registry_id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-platform-qa/providers/Microsoft.ContainerRegistry/registries/crcontosoqa"
  }

  assert {
    condition = (
      azurerm_role_assignment.deployment_copies_images[0].role_definition_name == "Container Registry Repository Reader" &&
      azurerm_role_assignment.deployment_copies_images[0].scope == var.source_registry_id &&
      length(regexall("StringEqualsIgnoreCase 'payments-api'", azurerm_role_assignment.deployment_copies_images[0].condition)) == 2
    )
    error_message = "The pipeline reads the application's own repository in the registry of the stage before, and no other."
  }
}

run "the_paired_region_is_another_one" {
  command = plan

  variables {
    paired_region = "westeurope"
  }

  expect_failures = [var.paired_region]
}
