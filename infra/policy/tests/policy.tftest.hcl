mock_provider "azurerm" {}

variables {
  management_group = "mg-appstore"
}

run "everything_that_the_files_say_is_made" {
  command = plan

  assert {
    condition     = length(azurerm_policy_definition.this) == length(fileset(var.rules_directory, "definitions/*.json"))
    error_message = "Every definition is made."
  }

  assert {
    condition = alltrue([
      for item in azurerm_policy_definition.this :
      item.management_group_id == "/providers/Microsoft.Management/managementGroups/mg-appstore"
    ])
    error_message = "Definitions live in the parent management group."
  }

  assert {
    condition = length(azurerm_management_group_policy_set_definition.applications.policy_definition_reference) == length(
      jsondecode(file("${var.rules_directory}/initiative.json")).properties.policyDefinitions
    )
    error_message = "The initiative has every reference."
  }

  assert {
    condition = alltrue([
      for item in azurerm_management_group_policy_set_definition.applications.policy_definition_reference :
      !strcontains(item.policy_definition_id, "{")
    ])
    error_message = "No placeholder is left in the ids."
  }

  assert {
    condition = anytrue([
      for item in azurerm_management_group_policy_set_definition.applications.policy_definition_reference :
      endswith(item.policy_definition_id, "managementGroups/mg-appstore/providers/Microsoft.Authorization/policyDefinitions/appstore-postgresql-entra-only")
    ])
    error_message = "Custom definitions are named by their ids."
  }

  assert {
    condition = (
      join(" ", keys(azurerm_management_group_policy_assignment.this)) == "nonprod prod" &&
      jsondecode(azurerm_management_group_policy_assignment.this["prod"].parameters).purgeProtectionEffect.value == "Deny" &&
      jsondecode(azurerm_management_group_policy_assignment.this["nonprod"].parameters).purgeProtectionEffect.value == "Disabled" &&
      alltrue([for item in azurerm_management_group_policy_assignment.this : item.enforce])
    )
    error_message = "The initiative is assigned, enforced, with the parameters of each group."
  }

  assert {
    condition     = length(azurerm_resource_group_policy_exemption.this) == length(fileset(var.rules_directory, "exemptions/*.yaml"))
    error_message = "Every exemption is made, and no other."
  }
}

run "an_exemption_ends_by_itself" {
  command = plan

  variables {
    exemptions_directory = "./tests/exemptions/good"
  }

  assert {
    condition = (
      azurerm_resource_group_policy_exemption.this["payments-api-vault"].expires_on == "2027-01-31T23:59:59Z" &&
      azurerm_resource_group_policy_exemption.this["payments-api-vault"].policy_definition_reference_ids == tolist(["vault-network"]) &&
      azurerm_resource_group_policy_exemption.this["payments-api-vault"].exemption_category == "Waiver" &&
      jsondecode(azurerm_resource_group_policy_exemption.this["payments-api-vault"].metadata).owner == "jane.doe@contoso.com"
    )
    error_message = "An exemption has an owner, its definitions and a last day."
  }
}

run "nobody_exempts_alone" {
  command = plan

  variables {
    exemptions_directory = "./tests/exemptions/alone"
  }

  expect_failures = [azurerm_resource_group_policy_exemption.this]
}

run "no_exemption_is_for_ever" {
  command = plan

  variables {
    exemptions_directory = "./tests/exemptions/forever"
  }

  expect_failures = [azurerm_resource_group_policy_exemption.this]
}

run "no_exemption_is_from_what_is_not_there" {
  command = plan

  variables {
    exemptions_directory = "./tests/exemptions/elsewhere"
  }

  expect_failures = [azurerm_resource_group_policy_exemption.this]
}

run "a_wrong_management_group_is_named" {
  command = plan

  variables {
    management_group = "/providers/Microsoft.Management/managementGroups/x"
  }

  expect_failures = [var.management_group]
}

run "without_the_app_nobody_subscribes" {
  command = plan

  assert {
    condition = (
      length(azurerm_management_group_policy_assignment.vault_events) == 0 &&
      length(azurerm_role_definition.event_destinations) == 0 &&
      length(azurerm_role_assignment.vault_events) == 0
    )
    error_message = "Without a function there is no assignment, no identity, no role."
  }
}

run "vaults_get_their_subscription_by_an_identity_with_few_rights" {
  command = apply

  variables {
    function_app_id        = "/subscriptions/10000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.Web/sites/func-appstore"
    dead_letter_account_id = "/subscriptions/10000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.Storage/storageAccounts/stappstore"
    location               = "westeurope"
  }

  assert {
    condition = alltrue([
      for key, item in azurerm_management_group_policy_assignment.vault_events :
      item.management_group_id == azurerm_management_group_policy_assignment.this[key].management_group_id &&
      item.not_scopes == azurerm_management_group_policy_assignment.this[key].not_scopes &&
      item.policy_definition_id == azurerm_policy_definition.this["vault-events"].id &&
      jsondecode(item.parameters).functionId.value == "${var.function_app_id}/functions/take_key_vault_event" &&
      item.identity[0].type == "SystemAssigned"
    ])
    error_message = "Each group of environments has it, except what the initiative leaves alone, with the function of the vaults' events."
  }

  assert {
    condition = (
      join(" ", keys(azurerm_management_group_policy_assignment.vault_events)) == join(" ", keys(azurerm_management_group_policy_assignment.this)) &&
      alltrue([
        for key, item in azurerm_role_assignment.vault_events :
        item.role_definition_name == "EventGrid Contributor" &&
        item.scope == azurerm_management_group_policy_assignment.vault_events[key].management_group_id &&
        item.principal_id == azurerm_management_group_policy_assignment.vault_events[key].identity[0].principal_id
      ])
    )
    error_message = "An identity for each assignment, with topics and subscriptions of its own group alone."
  }

  assert {
    condition = (
      alltrue([for item in azurerm_role_assignment.function : item.scope == var.function_app_id]) &&
      alltrue([for item in azurerm_role_assignment.dead_letters : item.scope == var.dead_letter_account_id]) &&
      alltrue([
        for action in azurerm_role_definition.event_destinations[0].permissions[0].actions :
        !endswith(action, "*") && !strcontains(lower(action), "key") && !endswith(action, "delete")
      ])
    )
    error_message = "Destinations are written at exactly the function app and the account, and no key is read."
  }
}

run "a_function_needs_a_place_for_dead_letters" {
  command = plan

  variables {
    function_app_id = "/subscriptions/10000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers/Microsoft.Web/sites/func-appstore"
    location        = "westeurope"
  }

  expect_failures = [azurerm_management_group_policy_assignment.vault_events]
}
