# The same variables as the module's; the rules for their values are the module's, so that there is one place for them.

variable "application" {
  description = "Name of the application; part of the names of what has no name of its own."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Stage of the application."
  type        = string
  nullable    = false
}

variable "request_id" {
  description = "App Store request that ordered this environment; on every resource as tag appstore-request-id."
  type        = string
  nullable    = false
}

variable "location" {
  description = "Azure region, in the short form (westeurope)."
  type        = string
  nullable    = false
}

variable "tags" {
  description = "Tags of every resource; the governance tags are mandatory."
  type        = map(string)
  nullable    = false
}

variable "names" {
  description = "Names of the resources whose names are global or reserved before the plan."
  type = object({
    resource_group = string
    identity       = string
    key_vault      = string
    static_site    = string
  })
  nullable = false
}

variable "public_network_access" {
  description = "The Key Vault answers on its public network address. Off unless declared: a public application does not need a public vault."
  type        = bool
  nullable    = false
  default     = false
}

variable "purge_protection" {
  description = "Purge protection of the Key Vault; it cannot be switched off again. Null: on in qa and prod, off in dev so that a name is free after a removal."
  type        = bool
  default     = null
}

variable "team_group_id" {
  description = "Object id of the owner team's Entra group."
  type        = string
  nullable    = false
}

variable "team_role" {
  description = "Role of the owner team on the resource group: Contributor in dev, Reader in qa and prod."
  type        = string
  nullable    = false
}

variable "platform_principal_id" {
  description = "Object id of the platform's identity that rotates secrets; null: the platform gets no access to the vault."
  type        = string
  default     = null
}

variable "dns" {
  description = "The application's CNAME record: zone, the zone's resource group, record name and the ingress host it points to."
  type = object({
    zone_name           = string
    zone_resource_group = string
    record              = string
    target              = string
  })
  nullable = false
}

variable "cluster_id" {
  description = "Resource id of the landing zone's AKS cluster."
  type        = string
  nullable    = false
}

variable "dedicated_cluster" {
  description = "The cluster that the environment gets for itself; cluster_id is the id it will have. Null: cluster_id exists."
  type = object({
    name       = string
    node_size  = string
    node_count = number
  })
  default = null
}

variable "namespace" {
  description = "Kubernetes namespace of the environment; the App Store makes it."
  type        = string
  nullable    = false
}

variable "registry_id" {
  description = "Resource id of the landing zone's container registry, which is in the mode RBAC Registry + ABAC Repository Permissions."
  type        = string
  nullable    = false
}

variable "log_workspace_id" {
  description = "Resource id of the landing zone's Log Analytics workspace."
  type        = string
  nullable    = false
}

variable "monthly_budget" {
  description = "Budget of the resource group a month, in the currency of the subscription. A budget warns; it stops nothing."
  type        = number
  nullable    = false
}

variable "budget_start" {
  description = "First day of the budget; given, not computed, so that two plans of the same inputs are the same."
  type        = string
  nullable    = false
}

variable "contact_email" {
  description = "Address of the owner team for alerts and budget notices."
  type        = string
  nullable    = false
}

variable "tenant_id" {
  description = "Entra tenant of the vault and of the database's authentication."
  type        = string
  nullable    = false
}

variable "subscription_id" {
  description = "Subscription of the environment's landing zone."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.subscription_id))
    error_message = "subscription_id: a GUID."
  }
}

variable "sku" {
  description = "Standard, with a service level agreement; or Free, without one."
  type        = string
  nullable    = false
  default     = "Standard"
}

variable "paired_region" {
  description = "Region that backups are kept in as well, in the short form; null: only in the location."
  type        = string
  default     = null
}

variable "source_registry_id" {
  description = "Resource id of the registry of the stage before, from which releases are copied; null where nothing is copied."
  type        = string
  default     = null
}

variable "alert_webhook" {
  description = "Where alerts go besides the owner team: address, and object id and identifier URI of the Entra application that Azure Monitor gets its token for; null: nowhere."
  type = object({
    service_uri    = string
    object_id      = string
    identifier_uri = string
  })
  default = null
}
