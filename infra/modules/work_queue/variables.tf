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
  description = "Names made before the plan: the Service Bus namespace, and the identity that the autoscaler's is named after."
  type = object({
    identity    = string
    service_bus = string
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-zA-Z](-?[a-zA-Z0-9])+$", var.names.service_bus)) && length(var.names.service_bus) >= 6 && length(var.names.service_bus) <= 50
    error_message = "names.service_bus: 6 to 50 letters, digits and single dashes, starting with a letter."
  }

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{2,121}$", var.names.identity))
    error_message = "names.identity: 3 to 122 letters, digits, dashes and underscores, starting with a letter or digit."
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

variable "max_delivery_count" {
  description = "How often a message is delivered before it goes to the dead-letter queue."
  type        = number
  nullable    = false

  validation {
    condition     = var.max_delivery_count >= 1 && var.max_delivery_count <= 100 && floor(var.max_delivery_count) == var.max_delivery_count
    error_message = "max_delivery_count: a whole number from 1 to 100."
  }
}
