variable "name" {
  description = "Name of the Service Bus namespace."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z](-?[a-zA-Z0-9])+$", var.name)) && length(var.name) >= 6 && length(var.name) <= 50
    error_message = "name: 6 to 50 letters, digits and single dashes, starting with a letter."
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

variable "resource_group" {
  description = "Name of the App Store's resource group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._()-]{0,89}[A-Za-z0-9_()-]$", var.resource_group))
    error_message = "resource_group: 1 to 90 letters, digits, dots, dashes, underscores and brackets, no dot at the end."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.tags) <= 50
    error_message = "tags: at most 50."
  }
}

variable "app_principal_id" {
  description = "Object id of the App Store's managed identity."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.app_principal_id))
    error_message = "app_principal_id: the object id (GUID) of a service principal."
  }
}

variable "sender_principal_ids" {
  description = "Object ids of the service principals that may send commands, by a name for each."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for id in values(var.sender_principal_ids) : can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", id))])
    error_message = "sender_principal_ids: object ids (GUID) of service principals."
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
