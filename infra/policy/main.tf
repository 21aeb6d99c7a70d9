# Azure Policy of the App Store, made of the data files in rules/azure_policy. Nothing here says what is allowed: it only
# carries those files to Azure.
locals {
  directory  = var.rules_directory
  exemptions = var.exemptions_directory == "" ? "${var.rules_directory}/exemptions" : var.exemptions_directory
  groups     = "/providers/Microsoft.Management/managementGroups"

  definitions = {
    for file in fileset("${local.directory}/definitions", "*.json") :
    trimsuffix(file, ".json") => jsondecode(file("${local.directory}/definitions/${file}"))
  }
  initiative = jsondecode(replace(file("${local.directory}/initiative.json"), "{managementGroup}", var.management_group))
  references = [for item in local.initiative.properties.policyDefinitions : item.policyDefinitionReferenceId]
  assignments = {
    for file in fileset("${local.directory}/assignments", "*.yaml") :
    trimsuffix(file, ".yaml") => yamldecode(file("${local.directory}/assignments/${file}"))
  }
  exempted = {
    for file in fileset(local.exemptions, "*.yaml") :
    trimsuffix(file, ".yaml") => yamldecode(file("${local.exemptions}/${file}"))
  }
}

resource "azurerm_policy_definition" "this" {
  for_each = local.definitions

  name                = each.value.name
  management_group_id = "${local.groups}/${var.management_group}"
  policy_type         = each.value.properties.policyType
  mode                = each.value.properties.mode
  display_name        = each.value.properties.displayName
  description         = each.value.properties.description
  metadata            = jsonencode(each.value.properties.metadata)
  parameters          = jsonencode(each.value.properties.parameters)
  policy_rule         = jsonencode(each.value.properties.policyRule)
}

resource "azurerm_management_group_policy_set_definition" "applications" {
  name                = local.initiative.name
  management_group_id = "${local.groups}/${var.management_group}"
  policy_type         = local.initiative.properties.policyType
  display_name        = local.initiative.properties.displayName
  description         = local.initiative.properties.description
  metadata            = jsonencode(local.initiative.properties.metadata)
  parameters          = jsonencode(local.initiative.properties.parameters)

  dynamic "policy_definition_group" {
    for_each = local.initiative.properties.policyDefinitionGroups

    content {
      name         = policy_definition_group.value.name
      display_name = policy_definition_group.value.displayName
    }
  }

  dynamic "policy_definition_reference" {
    for_each = local.initiative.properties.policyDefinitions

    content {
      reference_id         = policy_definition_reference.value.policyDefinitionReferenceId
      policy_definition_id = policy_definition_reference.value.policyDefinitionId
      policy_group_names   = policy_definition_reference.value.groupNames
      parameter_values     = jsonencode(policy_definition_reference.value.parameters)
    }
  }

  # The references name the custom definitions by their ids, which Azure wants to exist.
  depends_on = [azurerm_policy_definition.this]
}

resource "azurerm_management_group_policy_assignment" "this" {
  for_each = local.assignments

  name                 = each.value.name
  display_name         = each.value.displayName
  management_group_id  = "${local.groups}/${each.value.managementGroup}"
  policy_definition_id = azurerm_management_group_policy_set_definition.applications.id
  enforce              = each.value.enforce
  not_scopes           = each.value.notScopes
  parameters           = jsonencode({ for name, value in each.value.parameters : name => { value = value } })

  dynamic "non_compliance_message" {
    for_each = each.value.messages

    content {
      content                        = non_compliance_message.value
      policy_definition_reference_id = non_compliance_message.key == "default" ? null : non_compliance_message.key
    }
  }

  lifecycle {
    precondition {
      condition     = length(each.value.name) <= 24
      error_message = "${each.key}: the name of an assignment at a management group has 24 characters at most."
    }
  }
}

resource "azurerm_resource_group_policy_exemption" "this" {
  for_each = local.exempted

  name                            = each.value.name
  resource_group_id               = each.value.resourceGroup
  policy_assignment_id            = azurerm_management_group_policy_assignment.this[each.value.assignment].id
  policy_definition_reference_ids = each.value.references
  exemption_category              = each.value.category
  display_name                    = "${each.value.name} (${each.value.owner})"
  description                     = each.value.reason
  expires_on                      = "${substr(each.value.expires, 0, 10)}T23:59:59Z"
  metadata = jsonencode({
    owner      = each.value.owner
    approvedBy = each.value.approvedBy
    granted    = substr(each.value.granted, 0, 10)
  })

  lifecycle {
    precondition {
      condition     = each.value.name == each.key && length(each.key) <= 64
      error_message = "${each.key}: the name is that of the file, 64 characters at most."
    }

    precondition {
      condition     = each.value.owner != "" && lower(each.value.owner) != lower(each.value.approvedBy)
      error_message = "${each.key}: approvedBy is somebody else than owner."
    }

    precondition {
      condition     = length(trimspace(each.value.reason)) >= 10
      error_message = "${each.key}: the reason says why."
    }

    precondition {
      condition     = length(each.value.references) > 0 && length(setsubtract(each.value.references, local.references)) == 0
      error_message = "${each.key}: references names definitions of the initiative, one at least."
    }

    precondition {
      condition = (
        timecmp("${substr(each.value.granted, 0, 10)}T00:00:00Z", "${substr(each.value.expires, 0, 10)}T00:00:00Z") <= 0 &&
        timecmp(
          timeadd("${substr(each.value.granted, 0, 10)}T00:00:00Z", "${24 * var.longest_exemption_days}h"),
          "${substr(each.value.expires, 0, 10)}T00:00:00Z"
        ) >= 0
      )
      error_message = "${each.key}: an exemption ends after it began, and lasts ${var.longest_exemption_days} days at most."
    }
  }
}
