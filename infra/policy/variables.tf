variable "management_group" {
  description = "Name of the management group that holds the definitions: a parent of those that they are assigned to."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._()-]{0,89}$", var.management_group))
    error_message = "management_group: the name of a management group, not its id."
  }
}

variable "rules_directory" {
  description = "Folder with definitions/, initiative.json, assignments/ and exemptions/."
  type        = string
  default     = "../../rules/azure_policy"

  validation {
    condition     = fileexists("${var.rules_directory}/initiative.json")
    error_message = "rules_directory: there is no initiative.json in it."
  }
}

variable "exemptions_directory" {
  description = "Folder with the exemptions; empty: exemptions/ below rules_directory."
  type        = string
  default     = ""

  validation {
    condition     = var.exemptions_directory == "" || can(fileset(var.exemptions_directory, "*"))
    error_message = "exemptions_directory: there is no such folder."
  }
}

variable "longest_exemption_days" {
  description = "How long an exemption may last; the same as exceptions.max_days of the Rego rules."
  type        = number
  default     = 180

  validation {
    condition     = var.longest_exemption_days > 0 && var.longest_exemption_days <= 366
    error_message = "longest_exemption_days: from 1 to 366."
  }
}

variable "function_app_id" {
  description = "Resource id of the App Store's Function app, which hears of the vaults' events; empty: nobody does."
  type        = string
  default     = ""

  validation {
    condition     = var.function_app_id == "" || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Web/sites/[^/]+$", var.function_app_id))
    error_message = "function_app_id: the resource id of a Function app."
  }
}

variable "dead_letter_account_id" {
  description = "Resource id of the storage account for events that could not be delivered."
  type        = string
  default     = ""

  validation {
    condition     = var.dead_letter_account_id == "" || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Storage/storageAccounts/[^/]+$", var.dead_letter_account_id))
    error_message = "dead_letter_account_id: the resource id of a storage account."
  }
}

variable "dead_letter_container" {
  description = "Container for events that could not be delivered."
  type        = string
  default     = "event-dead-letters"
}

variable "location" {
  description = "Azure region, in the short form (westeurope), of the identities that deploy for Azure Policy."
  type        = string
  default     = ""

  validation {
    condition     = var.location == "" || can(regex("^[a-z]+[a-z0-9]*$", var.location))
    error_message = "location: the short name of an Azure region, such as westeurope."
  }
}
