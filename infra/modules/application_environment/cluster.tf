# A cluster of the application's own, where the landing zone has none for it. Its ingress and what else a cluster needs
# comes from the platform's cluster configuration, as in every cluster.

locals {
  with_cluster = var.dedicated_cluster != null
  # The same id either way: known before the cluster exists.
  cluster_scope = local.with_cluster ? azurerm_kubernetes_cluster.dedicated[0].id : var.cluster_id
}

# The cluster works under one identity and its nodes under another: both are there before the cluster, so that every
# role of theirs is in the plan.
resource "azurerm_user_assigned_identity" "cluster" {
  count = local.with_cluster ? 1 : 0

  name                = "id-${var.dedicated_cluster.name}"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

resource "azurerm_user_assigned_identity" "nodes" {
  count = local.with_cluster ? 1 : 0

  name                = "id-${var.dedicated_cluster.name}-nodes"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

resource "azurerm_role_assignment" "cluster_hands_out_identity" {
  count = local.with_cluster ? 1 : 0

  name                             = uuidv5("url", "${var.names.resource_group}/${var.dedicated_cluster.name}/Managed Identity Operator")
  scope                            = azurerm_user_assigned_identity.nodes[0].id
  role_definition_name             = "Managed Identity Operator"
  principal_id                     = azurerm_user_assigned_identity.cluster[0].principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_kubernetes_cluster" "dedicated" {
  #checkov:skip=CKV_AZURE_168:with overlay networking a node takes 250 pods unless somebody says otherwise
  #checkov:skip=CKV_AZURE_117:disks are ephemeral and encrypted by the platform; a key of our own would protect nothing that outlives a node
  #checkov:skip=CKV_AZURE_232:one pool by decision (docs/adr/0020): a second one costs three more nodes
  #checkov:skip=CKV_AZURE_227:encryption at the host needs a feature that the subscription has to register first
  #checkov:skip=CKV_AZURE_4:the diagnostic setting below sends the logs to the landing zone
  #checkov:skip=CKV_AZURE_172:the CSI driver for secrets is off: applications read their vault themselves
  #checkov:skip=CKV_AZURE_6:the pipelines come from addresses of GitHub that change; Entra ID and Azure RBAC alone let in
  #checkov:skip=CKV_AZURE_115:the pipelines reach it from outside; no local account, no run command
  #checkov:skip=CKV_AZURE_170:the paid tier in prod, where its agreement counts
  count = local.with_cluster ? 1 : 0

  name                = var.dedicated_cluster.name
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  node_resource_group = "${var.names.resource_group}-nodes"
  dns_prefix          = var.dedicated_cluster.name
  sku_tier            = local.is_production ? "Standard" : "Free"
  tags                = local.tags

  # Who gets in: Entra ID and Azure's roles, no local account.
  local_account_disabled            = true
  role_based_access_control_enabled = true
  oidc_issuer_enabled               = true
  workload_identity_enabled         = true
  azure_policy_enabled              = true
  run_command_enabled               = false
  automatic_upgrade_channel         = "patch"
  node_os_upgrade_channel           = "NodeImage"

  azure_active_directory_role_based_access_control {
    azure_rbac_enabled = true
    tenant_id          = var.tenant_id
  }

  default_node_pool {
    name                 = "system"
    vm_size              = var.dedicated_cluster.node_size
    node_count           = var.dedicated_cluster.node_count
    os_disk_type         = "Ephemeral" # no disk to pay for
    zones                = ["1", "2", "3"]
    auto_scaling_enabled = false # what was estimated is what runs
  }

  # What counts messages and starts instances; a landing zone's own cluster has it already.
  dynamic "workload_autoscaler_profile" {
    for_each = var.event_driven_scaling ? ["keda"] : []
    content {
      keda_enabled = true
    }
  }

  node_provisioning_profile {
    mode = "Manual"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster[0].id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.nodes[0].client_id
    object_id                 = azurerm_user_assigned_identity.nodes[0].principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.nodes[0].id
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_policy      = "cilium"
    network_data_plane  = "cilium"
    load_balancer_sku   = "standard"
    outbound_type       = "loadBalancer"
  }

  depends_on = [azurerm_role_assignment.cluster_hands_out_identity]
}

resource "azurerm_role_assignment" "nodes_pull_images" {
  count = local.with_cluster ? 1 : 0

  name                             = uuidv5("url", "${var.registry_id}/${var.dedicated_cluster.name}/pull")
  scope                            = var.registry_id
  role_definition_name             = "Container Registry Repository Reader"
  principal_id                     = azurerm_user_assigned_identity.nodes[0].principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
  condition_version                = "2.0"
  condition = join(" AND ", [
    for action in ["content/read", "metadata/read"] :
    "(!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/${action}'}) OR @Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase '${var.application}')"
  ])
}

resource "azurerm_monitor_diagnostic_setting" "cluster" {
  count = local.with_cluster ? 1 : 0

  name                       = "to-landing-zone"
  target_resource_id         = azurerm_kubernetes_cluster.dedicated[0].id
  log_analytics_workspace_id = var.log_workspace_id

  enabled_log {
    category = "kube-audit-admin"
  }

  enabled_log {
    category = "guard"
  }

  enabled_metric {
    category = "AllMetrics"
  }
}
