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
