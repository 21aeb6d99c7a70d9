# Key Vault has a system topic of Event Grid for each vault, and vaults of applications come and go: Azure Policy makes topic and
# subscription (record 0046). Assigned as soon as the App Store's function is there, beside the initiative, because only this
# one needs an identity.
locals {
  event_assignments = var.function_app_id == "" ? {} : local.assignments
  events_function   = "${var.function_app_id}/functions/take_key_vault_event"
  # The scopes of ids begin with /subscriptions/<id>.
  destination_scopes = distinct([
    for id in [var.function_app_id, var.dead_letter_account_id] : join("/", slice(split("/", id), 0, 3)) if id != ""
  ])
}

resource "azurerm_management_group_policy_assignment" "vault_events" {
  for_each = local.event_assignments

  name                 = "appstore-events-${each.key}"
  display_name         = "App Store: events of the vaults (${join(", ", each.value.environments)})"
  management_group_id  = "${local.groups}/${each.value.managementGroup}"
  policy_definition_id = azurerm_policy_definition.this["vault-events"].id
  enforce              = each.value.enforce
  not_scopes           = each.value.notScopes
  location             = var.location

  parameters = jsonencode({
    functionId          = { value = local.events_function }
    deadLetterAccountId = { value = var.dead_letter_account_id }
    deadLetterContainer = { value = var.dead_letter_container }
  })

  non_compliance_message {
    content = "Nobody tells the App Store when secrets of this vault end: remediate-compliance puts it right."
  }

  identity {
    type = "SystemAssigned"
  }

  lifecycle {
    precondition {
      condition     = length("appstore-events-${each.key}") <= 24
      error_message = "${each.key}: the name of an assignment at a management group has 24 characters at most."
    }

    precondition {
      condition     = var.dead_letter_account_id != "" && var.location != ""
      error_message = "function_app_id needs dead_letter_account_id and location beside it."
    }
  }
}

# Topics and subscriptions where the vaults are; the narrower EventGrid EventSubscription Contributor makes no topics.
resource "azurerm_role_assignment" "vault_events" {
  for_each = local.event_assignments

  name                             = uuidv5("url", "appstore-events-${each.key}/EventGrid Contributor")
  scope                            = "${local.groups}/${each.value.managementGroup}"
  role_definition_name             = "EventGrid Contributor"
  principal_id                     = azurerm_management_group_policy_assignment.vault_events[each.key].identity[0].principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true # it was born with the assignment
}

# Event Grid lets only those direct events somewhere who may write there. Built-in roles that may would hand out keys as well.
resource "azurerm_role_definition" "event_destinations" {
  count = var.function_app_id == "" ? 0 : 1

  name              = "App Store event destinations"
  scope             = local.destination_scopes[0]
  assignable_scopes = local.destination_scopes
  description       = "Direct events to a function, and those that cannot be delivered to a storage account."

  permissions {
    actions = [
      "Microsoft.Web/sites/read",
      "Microsoft.Web/sites/functions/read",
      "Microsoft.Web/sites/functions/write",
      "Microsoft.Storage/storageAccounts/read",
      "Microsoft.Storage/storageAccounts/write",
    ]
  }
}

resource "azurerm_role_assignment" "function" {
  for_each = local.event_assignments

  name                             = uuidv5("url", "appstore-events-${each.key}/function")
  scope                            = var.function_app_id
  role_definition_id               = azurerm_role_definition.event_destinations[0].role_definition_resource_id
  principal_id                     = azurerm_management_group_policy_assignment.vault_events[each.key].identity[0].principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_role_assignment" "dead_letters" {
  for_each = local.event_assignments

  name                             = uuidv5("url", "appstore-events-${each.key}/dead letters")
  scope                            = var.dead_letter_account_id
  role_definition_id               = azurerm_role_definition.event_destinations[0].role_definition_resource_id
  principal_id                     = azurerm_management_group_policy_assignment.vault_events[each.key].identity[0].principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}
