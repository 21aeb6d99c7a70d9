variable "application" {
  description = "Name of the application; part of the names of what has no name of its own."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.application)) && length(var.application) <= 40
    error_message = "application: lower case letters, digits and single dashes, starting with a letter, at most 40 characters."
  }
}

variable "environment" {
  description = "Stage of the application."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "qa", "prod"], var.environment)
    error_message = "environment: one of dev, qa, prod."
  }
}

variable "location" {
  description = "Azure region, in the short form (westeurope)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+[a-z0-9]*$", var.location))
    error_message = "location: the short name of an Azure region, such as westeurope."
  }
}

variable "tags" {
  description = "Tags of every resource, as the environment has them."
  type        = map(string)
  nullable    = false

  validation {
    condition     = can(var.tags["appstore-request-id"]) && length(var.tags) <= 50
    error_message = "tags: those of the environment, with appstore-request-id."
  }
}

variable "names" {
  description = "Names made before the plan: the storage account."
  type = object({
    storage_account = string
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.names.storage_account))
    error_message = "names.storage_account: 3 to 24 lower case letters and digits."
  }
}

variable "resource_group" {
  description = "Name of the environment's resource group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._()-]{0,89}[A-Za-z0-9_()-]$", var.resource_group))
    error_message = "resource_group: 1 to 90 letters, digits, dots, dashes, underscores and brackets, no dot at the end."
  }
}

variable "workload_principal_id" {
  description = "Object id of the identity that the application runs under."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.workload_principal_id))
    error_message = "workload_principal_id: the object id (GUID) of a service principal."
  }
}

variable "action_group_id" {
  description = "Resource id of the action group that alerts go to."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("(?i)/providers/Microsoft\\.Insights/actionGroups/[^/]+$", var.action_group_id))
    error_message = "action_group_id: the resource id of an action group."
  }
}

variable "log_workspace_id" {
  description = "Resource id of the landing zone's Log Analytics workspace."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.OperationalInsights/workspaces/[^/]+$", var.log_workspace_id))
    error_message = "log_workspace_id: the resource id of a Log Analytics workspace."
  }
}

variable "public_network_access" {
  description = "Key Vault and PostgreSQL answer on their public network addresses. Off unless declared: a public application does not need a public vault."
  type        = bool
  nullable    = false
  default     = false
}
