# Azure Automation for what a response does from outside of the App Store (rules/responses, action start-runbook). The
# runbooks are the files in runbooks/: what is not there is not in the account.

locals {
  # A file is a runbook, named as it; one that begins with an underscore is none.
  runbooks = {
    for file in fileset(path.module, "runbooks/[a-z]*.py") :
    replace(trimsuffix(basename(file), ".py"), "_", "-") => file("${path.module}/${file}")
  }
}

resource "azurerm_automation_account" "this" {
  name                         = var.name
  location                     = var.location
  resource_group_name          = var.resource_group
  sku_name                     = "Basic"
  local_authentication_enabled = false # no keys: jobs are started by way of Azure Resource Manager, with Entra ID
  # Neither webhooks nor hybrid workers nor state configuration: nobody has to reach the account itself.
  public_network_access_enabled = false
  tags                          = var.tags

  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_automation_runtime_environment" "python" {
  name                  = "python-3-10"
  automation_account_id = azurerm_automation_account.this.id
  location              = var.location
  runtime_language      = "Python"
  runtime_version       = "3.10" # the newest that Azure Automation has; the runbooks need nothing but its standard library
  description           = "Python 3.10 without packages."
  tags                  = var.tags
}

resource "azurerm_automation_runbook" "this" {
  for_each = local.runbooks

  name                     = each.key
  location                 = var.location
  resource_group_name      = var.resource_group
  automation_account_name  = azurerm_automation_account.this.name
  runbook_type             = "Python"
  runtime_environment_name = azurerm_automation_runtime_environment.python.name
  log_progress             = false
  log_verbose              = false
  description              = regex("^\"\"\"(.+)", each.value)[0]
  content                  = each.value
  tags                     = var.tags
}

# Exactly what the runbooks call, in the landing zones and nowhere else: no write, no data, no keys.
resource "azurerm_role_definition" "runbooks" {
  name              = "App Store runbooks"
  scope             = var.landing_zones[0]
  assignable_scopes = var.landing_zones
  description       = "What the runbooks of the App Store's Automation account call."

  permissions {
    actions = [
      "Microsoft.DBforPostgreSQL/flexibleServers/read",
      "Microsoft.DBforPostgreSQL/locations/azureAsyncOperation/read",
      "Microsoft.DBforPostgreSQL/flexibleServers/restart/action",
      "Microsoft.Insights/metrics/read",
      "Microsoft.ResourceHealth/availabilityStatuses/current/read",
      "Microsoft.ResourceHealth/availabilityStatuses/read",
      "Microsoft.Resources/subscriptions/resourceGroups/resources/read",
      "Microsoft.Resources/subscriptions/resources/read",
    ]
  }
}

# Names of role assignments are made from what they stand for: a repeat is the same assignment.
resource "azurerm_role_assignment" "runbooks" {
  for_each = toset(var.landing_zones)

  name                             = uuidv5("url", "${var.name}/${each.value}/runbooks")
  scope                            = each.value
  role_definition_id               = azurerm_role_definition.runbooks.role_definition_resource_id
  principal_id                     = azurerm_automation_account.this.identity[0].principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# The App Store starts jobs and reads how they go; it can change neither runbooks nor the account.
resource "azurerm_role_assignment" "app_starts_jobs" {
  name                             = uuidv5("url", "${var.name}/app/Automation Job Operator")
  scope                            = azurerm_automation_account.this.id
  role_definition_name             = "Automation Job Operator"
  principal_id                     = var.app_principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_role_assignment" "app_reads_runbooks" {
  for_each = azurerm_automation_runbook.this

  name                             = uuidv5("url", "${var.name}/${each.key}/app/Automation Runbook Operator")
  scope                            = each.value.id
  role_definition_name             = "Automation Runbook Operator"
  principal_id                     = var.app_principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}
