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

variable "resource_group" {
  description = "Name of the environment's resource group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._()-]{0,89}[A-Za-z0-9_()-]$", var.resource_group))
    error_message = "resource_group: 1 to 90 letters, digits, dots, dashes, underscores and brackets, no dot at the end."
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
  description = "Name made before the plan: the static web app's."
  type = object({
    static_site = string
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9])*$", var.names.static_site)) && length(var.names.static_site) <= 40
    error_message = "names.static_site: at most 40 letters, digits and single dashes, no dash at either end."
  }
}

variable "dns" {
  description = "The application's CNAME record: zone, the zone's resource group, record name and the ingress host, which a static site does not use."
  type = object({
    zone_name           = string
    zone_resource_group = string
    record              = string
    target              = string
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.dns.record))
    error_message = "dns.record: one DNS label in lower case; a CNAME cannot stand at the top of a zone."
  }

  validation {
    condition = alltrue([
      for host in [var.dns.zone_name, var.dns.target] :
      can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", host)) && length(host) <= 253
    ])
    error_message = "dns.zone_name and dns.target: host names in lower case, without a dot at the end."
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

variable "deployment_principal_id" {
  description = "Object id of the identity that the repository's pipeline publishes with."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.deployment_principal_id))
    error_message = "deployment_principal_id: the object id (GUID) of a service principal."
  }
}

variable "sku" {
  description = "Standard, with a service level agreement; or Free, without one."
  type        = string
  nullable    = false
  default     = "Standard"

  validation {
    condition     = contains(["Free", "Standard"], var.sku)
    error_message = "sku: Free or Standard."
  }
}
