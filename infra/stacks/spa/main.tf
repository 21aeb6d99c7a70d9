# Stack of the archetype "spa". Constant text: every value of a request arrives through terraform.tfvars.json, where
# Terraform takes strings literally. Nothing a person typed is ever written into a .tf file.

terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 5.0, < 6.0"
    }
  }

  # Account, container, key and authentication come from the runner (-backend-config, ARM_* variables).
  backend "azurerm" {}
}

provider "azurerm" {
  subscription_id                 = var.subscription_id
  tenant_id                       = var.tenant_id
  resource_provider_registrations = "none" # the landing zone registers them; the runner may not

  features {
    key_vault {
      # A soft-deleted vault keeps its name taken. In dev a removal frees it; elsewhere purging is a decision of its own.
      purge_soft_delete_on_destroy = var.environment == "dev"
      # A vault of an earlier owner comes back with its secrets: a name conflict is the safer answer.
      recover_soft_deleted_key_vaults = false
    }
    resource_group {
      prevent_deletion_if_contains_resources = true
    }
  }
}

module "environment" {
  source = "../../modules/application_environment"

  application           = var.application
  environment           = var.environment
  request_id            = var.request_id
  location              = var.location
  paired_region         = var.paired_region
  tags                  = var.tags
  names                 = var.names
  public_network_access = var.public_network_access
  purge_protection      = var.purge_protection
  team_group_id         = var.team_group_id
  team_role             = var.team_role
  platform_principal_id = var.platform_principal_id
  dns                   = var.dns
  cluster_id            = var.cluster_id
  dedicated_cluster     = var.dedicated_cluster
  namespace             = var.namespace
  registry_id           = var.registry_id
  source_registry_id    = var.source_registry_id
  log_workspace_id      = var.log_workspace_id
  monthly_budget        = var.monthly_budget
  budget_start          = var.budget_start
  contact_email         = var.contact_email
  alert_webhook         = var.alert_webhook
  tenant_id             = var.tenant_id
  public_endpoint       = true # a static web app is open to the internet
  runs_in_cluster       = false
}

module "site" {
  source = "../../modules/static_site"

  application             = var.application
  environment             = var.environment
  location                = var.location
  resource_group          = module.environment.resource_group
  names                   = var.names
  dns                     = var.dns
  tags                    = module.environment.tags
  deployment_principal_id = module.environment.deployment_principal_id
  action_group_id         = module.environment.action_group_id
  sku                     = var.sku
}
