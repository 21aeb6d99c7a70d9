variable "name" {
  description = "Name of the Automation account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9-]{4,48}[a-zA-Z0-9]$", var.name))
    error_message = "name: 6 to 50 letters, digits and dashes, starting with a letter."
  }
}

variable "resource_group" {
  description = "Resource group of the App Store; it exists."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._()-]{0,89}[A-Za-z0-9_()-]$", var.resource_group))
    error_message = "resource_group: 1 to 90 letters, digits, dots, dashes, underscores and brackets, no dot at the end."
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

variable "landing_zones" {
  description = "Resource ids of the subscriptions in which applications live: the runbooks reach these and nothing else."
  type        = list(string)
  nullable    = false

  validation {
    condition = length(var.landing_zones) > 0 && alltrue([
      for id in var.landing_zones : can(regex("^/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))
    ])
    error_message = "landing_zones: one or more ids such as /subscriptions/20000000-0000-0000-0000-000000000001."
  }
}

variable "app_principal_id" {
  description = "Object id of the App Store's managed identity, which starts jobs."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.app_principal_id))
    error_message = "app_principal_id: the object id (GUID) of a service principal."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.tags) <= 15
    error_message = "tags: at most 15, which is all that Azure Automation takes."
  }
}
