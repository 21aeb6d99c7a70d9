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

variable "request_id" {
  description = "App Store request that ordered this environment; on every resource as tag appstore-request-id."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", var.request_id))
    error_message = "request_id: letters, digits, dot, dash and underscore, at most 128 characters."
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

variable "paired_region" {
  description = "Region that backups are kept in as well, in the short form; null: only in the location."
  type        = string
  default     = null

  validation {
    condition     = var.paired_region == null || can(regex("^[a-z]+[a-z0-9]*$", var.paired_region)) && var.paired_region != var.location
    error_message = "paired_region: the short name of another Azure region, or null."
  }
}

variable "tags" {
  description = "Tags of every resource; the governance tags are mandatory."
  type        = map(string)
  nullable    = false

  validation {
    condition = alltrue([
      for name in ["application", "environment", "owner-team", "cost-center", "data-classification", "criticality", "managed-by"] :
      try(length(trimspace(var.tags[name])) > 0, false)
    ])
    error_message = "tags: application, environment, owner-team, cost-center, data-classification, criticality and managed-by are mandatory."
  }

  validation {
    # Azure Resource Manager: 50 tags, 512 characters a name, 256 a value; one is kept for the request id.
    condition = length(var.tags) <= 49 && alltrue([
      for name, value in var.tags : length(name) <= 512 && length(value) <= 256 && can(regex("^[^<>%&\\\\?/]+$", name))
    ])
    error_message = "tags: at most 49, names without <>%&\\?/ and up to 512 characters, values up to 256."
  }
}

variable "names" {
  description = "Names of the resources whose names are global or reserved before the plan."
  type = object({
    resource_group = string
    identity       = string
    key_vault      = string
    postgres       = optional(string)
  })
  nullable = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._()-]{0,89}[A-Za-z0-9_()-]$", var.names.resource_group))
    error_message = "names.resource_group: 1 to 90 letters, digits, dots, dashes, underscores and brackets, no dot at the end."
  }

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$", var.names.identity))
    error_message = "names.identity: 3 to 128 letters, digits, dashes and underscores, starting with a letter or digit."
  }

  validation {
    condition     = can(regex("^[a-zA-Z](-?[a-zA-Z0-9])+$", var.names.key_vault)) && length(var.names.key_vault) >= 3 && length(var.names.key_vault) <= 24
    error_message = "names.key_vault: 3 to 24 letters, digits and single dashes, starting with a letter."
  }

  validation {
    condition     = var.database == "none" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.names.postgres))
    error_message = "names.postgres: with a database, 3 to 63 lower case letters, digits and dashes, no dash at either end."
  }
}

variable "runs_in_cluster" {
  description = "The application runs in the cluster: it gets an identity, its pipeline the namespace, its DNS name leads to the ingress. False: what it runs on instead brings these."
  type        = bool
  nullable    = false
  default     = true

  validation {
    condition     = var.runs_in_cluster || (var.database == "none" && var.dedicated_cluster == null)
    error_message = "runs_in_cluster: a database and a cluster of its own need a workload in the cluster."
  }
}

variable "database" {
  description = "postgres for a PostgreSQL flexible server with one database, none for no database."
  type        = string
  nullable    = false
  default     = "none"

  validation {
    condition     = contains(["postgres", "none"], var.database)
    error_message = "database: postgres or none."
  }
}

variable "public_endpoint" {
  description = "The application is declared open to the internet; recorded as tag exposure, which policies read."
  type        = bool
  nullable    = false
  default     = false
}

variable "public_network_access" {
  description = "Key Vault and PostgreSQL answer on their public network addresses. Off unless declared: a public application does not need a public vault."
  type        = bool
  nullable    = false
  default     = false
}

variable "purge_protection" {
  description = "Purge protection of the Key Vault; it cannot be switched off again. Null: on in qa and prod, off in dev so that a name is free after a removal."
  type        = bool
  default     = null

  validation {
    condition     = var.environment == "dev" || var.purge_protection != false
    error_message = "purge_protection: may be off in dev only."
  }
}

variable "team_group_id" {
  description = "Object id of the owner team's Entra group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.team_group_id))
    error_message = "team_group_id: the object id (GUID) of a group."
  }
}

variable "team_role" {
  description = "Role of the owner team on the resource group: Contributor in dev, Reader in qa and prod."
  type        = string
  nullable    = false

  validation {
    condition     = var.team_role == (var.environment == "dev" ? "Contributor" : "Reader")
    error_message = "team_role: Contributor in dev, Reader in qa and prod."
  }
}

variable "platform_principal_id" {
  description = "Object id of the platform's identity that rotates secrets; null: the platform gets no access to the vault."
  type        = string
  default     = null

  validation {
    condition     = var.platform_principal_id == null || can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.platform_principal_id))
    error_message = "platform_principal_id: the object id (GUID) of a service principal, or null."
  }
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

variable "cluster_id" {
  description = "Resource id of the landing zone's AKS cluster."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.ContainerService/managedClusters/[^/]+$", var.cluster_id))
    error_message = "cluster_id: the resource id of an AKS cluster."
  }
}

variable "dedicated_cluster" {
  description = "The cluster that the environment gets for itself; cluster_id is the id it will have. Null: cluster_id exists."
  type = object({
    name       = string
    node_size  = string
    node_count = number
  })
  default = null

  validation {
    condition     = var.dedicated_cluster == null ? true : can(regex("^[a-zA-Z0-9]([a-zA-Z0-9_-]{0,52}[a-zA-Z0-9])?$", var.dedicated_cluster.name))
    error_message = "dedicated_cluster.name: 1 to 54 letters, digits, hyphens and underscores."
  }

  validation {
    condition     = var.dedicated_cluster == null ? true : can(regex("^Standard_[A-Za-z0-9_]+$", var.dedicated_cluster.node_size))
    error_message = "dedicated_cluster.node_size: the name of a VM size."
  }

  validation {
    condition     = var.dedicated_cluster == null ? true : var.dedicated_cluster.node_count >= 1 && var.dedicated_cluster.node_count <= 100 && floor(var.dedicated_cluster.node_count) == var.dedicated_cluster.node_count
    error_message = "dedicated_cluster.node_count: a whole number from 1 to 100."
  }

  validation {
    condition     = var.dedicated_cluster == null ? true : endswith(var.cluster_id, "/resourceGroups/${var.names.resource_group}/providers/Microsoft.ContainerService/managedClusters/${var.dedicated_cluster.name}")
    error_message = "dedicated_cluster: cluster_id is not the id that this cluster will have."
  }
}

variable "event_driven_scaling" {
  description = "A cluster of its own gets KEDA, which scales by the length of a queue."
  type        = bool
  nullable    = false
  default     = false
}

variable "namespace" {
  description = "Kubernetes namespace of the environment; the App Store makes it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace: 1 to 63 lower case letters, digits and dashes, no dash at either end."
  }
}

variable "registry_id" {
  description = "Resource id of the landing zone's container registry, which is in the mode RBAC Registry + ABAC Repository Permissions."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.ContainerRegistry/registries/[^/]+$", var.registry_id))
    error_message = "registry_id: the resource id of a container registry."
  }
}

variable "source_registry_id" {
  description = "Resource id of the registry of the stage before, from which releases are copied; null where nothing is copied."
  type        = string
  default     = null

  validation {
    condition     = var.source_registry_id == null || can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.ContainerRegistry/registries/[^/]+$", var.source_registry_id))
    error_message = "source_registry_id: the resource id of a container registry, or null."
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

variable "monthly_budget" {
  description = "Budget of the resource group a month, in the currency of the subscription. A budget warns; it stops nothing."
  type        = number
  nullable    = false

  validation {
    condition     = var.monthly_budget > 0
    error_message = "monthly_budget: more than 0."
  }
}

variable "budget_start" {
  description = "First day of the budget; given, not computed, so that two plans of the same inputs are the same."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^20[0-9]{2}-(0[1-9]|1[0-2])-01T00:00:00Z$", var.budget_start))
    error_message = "budget_start: the first day of a month as YYYY-MM-01T00:00:00Z."
  }
}

variable "contact_email" {
  description = "Address of the owner team for alerts and budget notices."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.contact_email))
    error_message = "contact_email: an e-mail address."
  }
}

variable "alert_webhook" {
  description = "Where alerts go besides the owner team: address, and object id and identifier URI of the Entra application that Azure Monitor gets its token for; null: nowhere."
  type = object({
    service_uri    = string
    object_id      = string
    identifier_uri = string
  })
  default = null

  validation {
    condition     = var.alert_webhook == null || can(regex("^https://[^\\s]+$", var.alert_webhook.service_uri))
    error_message = "alert_webhook.service_uri: an https address."
  }

  validation {
    condition = var.alert_webhook == null || (
      can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.alert_webhook.object_id)) &&
      can(regex("^api://[^\\s]+$", var.alert_webhook.identifier_uri))
    )
    error_message = "alert_webhook: a GUID as object_id, and an identifier_uri that begins with api://."
  }
}

variable "tenant_id" {
  description = "Entra tenant of the vault and of the database's authentication."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.tenant_id))
    error_message = "tenant_id: a GUID."
  }
}
