variable "storage_account" {
  description = "Name of the storage account of the audit anchors: unique in the whole of Azure."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.storage_account))
    error_message = "storage_account: 3 to 24 lower case letters and digits."
  }
}

variable "resource_group" {
  description = "Resource group of the App Store; it exists."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._()-]{1,90}$", var.resource_group))
    error_message = "resource_group: the name of a resource group."
  }
}

variable "location" {
  description = "Azure region, in the short form (westeurope); one with availability zones."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+[a-z0-9]*$", var.location))
    error_message = "location: the short name of an Azure region, such as westeurope."
  }
}

variable "app_principal_id" {
  description = "Object id of the App Store's managed identity, which writes and reads the anchors."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.app_principal_id))
    error_message = "app_principal_id: an object id (GUID)."
  }
}

variable "retention_days" {
  description = "Days for which an anchor can be neither changed nor removed; can only be made longer afterwards."
  type        = number
  default     = 2555
  nullable    = false

  validation {
    condition     = var.retention_days >= 365 && var.retention_days <= 146000 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days: whole days, from 365 to 146000, the most that Azure takes."
  }
}

variable "public_network_access" {
  description = "Whether the account can be reached from outside of private endpoints; false needs one for the App Store."
  type        = bool
  default     = false
  nullable    = false
}

variable "tags" {
  description = "Tags of the storage account."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 50
    error_message = "tags: at most 50."
  }
}
