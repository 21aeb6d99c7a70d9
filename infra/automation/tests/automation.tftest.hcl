mock_provider "azurerm" {
  mock_resource "azurerm_automation_account" {
    defaults = {
      id       = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.Automation/automationAccounts/aa-appstore"
      identity = { principal_id = "40000000-0000-0000-0000-000000000001", tenant_id = "11111111-1111-1111-1111-111111111111" }
    }
  }

  mock_resource "azurerm_automation_runbook" {
    defaults = {
      id = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.Automation/automationAccounts/aa-appstore/runbooks/x"
    }
  }

  mock_resource "azurerm_role_definition" {
    defaults = {
      role_definition_resource_id = "/subscriptions/20000000-0000-0000-0000-000000000001/providers/Microsoft.Authorization/roleDefinitions/50000000-0000-0000-0000-000000000001"
    }
  }
}

variables {
  name             = "aa-appstore"
  resource_group   = "rg-appstore"
  location         = "westeurope"
  landing_zones    = ["/subscriptions/20000000-0000-0000-0000-000000000001", "/subscriptions/20000000-0000-0000-0000-000000000002"]
  app_principal_id = "30000000-0000-0000-0000-000000000001"
  tags             = { "owner-team" = "platform" }
}

run "nobody_has_a_key_and_nothing_listens" {
  command = plan

  assert {
    condition = (
      !azurerm_automation_account.this.local_authentication_enabled &&
      !azurerm_automation_account.this.public_network_access_enabled &&
      azurerm_automation_account.this.identity[0].type == "SystemAssigned"
    )
    error_message = "The account must know Entra ID alone, with an identity of its own."
  }
}

run "the_files_are_the_runbooks" {
  command = plan

  assert {
    condition = (
      length(azurerm_automation_runbook.this) == length(fileset(".", "runbooks/[a-z]*.py")) &&
      azurerm_automation_runbook.this["restart-database"].content == file("runbooks/restart_database.py") &&
      alltrue([for item in azurerm_automation_runbook.this : item.runbook_type == "Python" && length(item.description) > 20])
    )
    error_message = "Every file is a runbook as it is, and says what it does."
  }

  assert {
    condition = (
      azurerm_automation_runtime_environment.python.runtime_version == "3.10" &&
      alltrue([for item in azurerm_automation_runbook.this : item.runtime_environment_name == "python-3-10"])
    )
    error_message = "Runbooks run in Python 3.10."
  }
}

run "the_identity_reads_and_restarts_and_nothing_else" {
  command = apply

  assert {
    condition = alltrue([
      for action in azurerm_role_definition.runbooks.permissions[0].actions :
      endswith(action, "/read") || action == "Microsoft.DBforPostgreSQL/flexibleServers/restart/action"
    ])
    error_message = "The only change that a runbook makes is a restart."
  }

  assert {
    condition = (
      azurerm_role_definition.runbooks.permissions[0].data_actions == null &&
      toset(keys(azurerm_role_assignment.runbooks)) == toset(var.landing_zones) &&
      alltrue([for item in azurerm_role_assignment.runbooks : item.principal_id == output.principal_id])
    )
    error_message = "The role reaches the landing zones, and no data."
  }
}

run "the_app_starts_jobs_and_changes_no_runbook" {
  command = apply

  assert {
    condition = (
      azurerm_role_assignment.app_starts_jobs.role_definition_name == "Automation Job Operator" &&
      azurerm_role_assignment.app_starts_jobs.scope == output.account_id &&
      alltrue([for item in azurerm_role_assignment.app_reads_runbooks : item.role_definition_name == "Automation Runbook Operator"]) &&
      keys(azurerm_role_assignment.app_reads_runbooks) == output.runbooks
    )
    error_message = "The App Store operates jobs; it is no contributor of the account."
  }
}

run "a_management_group_is_too_much" {
  command = plan

  variables {
    landing_zones = ["/providers/Microsoft.Management/managementGroups/mg-root"]
  }

  expect_failures = [var.landing_zones]
}
