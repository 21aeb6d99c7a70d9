// The App Store itself: one Function app with its storage, its identity and its telemetry, in one resource group. Nobody has
// a key: storage and Application Insights take Entra ID only, the identity has the roles below and no others. The roles that
// the identity needs elsewhere (landing zones, ServiceNow, GitHub) are given there, by whoever owns them.
targetScope = 'resourceGroup'

@description('Azure region of everything here.')
param location string = resourceGroup().location

@description('Part of every name; two App Stores of one tenant have different ones.')
@minLength(3)
@maxLength(12)
param name string = 'appstore'

@description('Tenant that issues the callers\' tokens.')
param tenantId string = tenant().tenantId

@description('Application ID URI of the API, the audience of its tokens.')
param audience string = 'api://appstore'

@description('GitHub: the organisation, the App and its installation, and the vault that holds the App\'s key.')
param github {
  owner: string
  appId: int
  installationId: int
  keyVaultName: string
}

@description('Storage account of Terraform\'s states and saved plans, which belongs to the infrastructure pipeline.')
param terraformStateAccount string

@description('Storage account of the audit anchors (infra/platform/audit); empty: the register\'s own account.')
param auditAccount string = ''

@description('Host name of the Service Bus namespace of commands (infra/platform/service_bus); empty: there are no commands.')
param serviceBusHost string = ''

@description('Further app settings: optional systems, as docs/configuration.md has them. No secrets: those lie in a vault.')
param moreSettings object = {}

@description('Most instances at once. One is enough for about 200 running requests.')
@minValue(1)
@maxValue(100)
param maximumInstances int = 10

@description('Days that logs and metrics are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int = 90

@description('Tags of every resource.')
param tags object = {}

var suffix = uniqueString(resourceGroup().id, name)
var packageContainer = 'deployment-packages'
var roles = {
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner: leases of the host
  blobContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor: Durable Functions
  tableContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher: telemetry without a key
  eventSender: 'd5a91429-5739-47e2-a06b-3470a27159e7' // EventGrid Data Sender: what happens to applications
  secretsUser: '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${name}'
  location: location
  tags: tags
}

// The host's own storage: packages, leases, histories. Durable Functions writes here all the time.
resource hostAccount 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: 'sthost${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource packages 'containers' = {
      name: packageContainer
    }
  }
}

// The register: requests, plans, audit trail. What is lost here is lost for ever, so that blobs come back after a removal.
resource registerAccount 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: 'stdata${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      isVersioningEnabled: true
      deleteRetentionPolicy: {
        enabled: true
        days: 30
      }
      containerDeleteRetentionPolicy: {
        enabled: true
        days: 30
      }
    }
  }
}

// Nobody removes the register by mistake, with its resource group or alone.
resource registerLock 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'register'
  scope: registerAccount
  properties: {
    level: 'CanNotDelete'
    notes: 'The register of the App Store and its audit trail.'
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-${name}'
  location: location
  tags: tags
  properties: {
    retentionInDays: retentionDays
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${name}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    WorkspaceResourceId: workspace.id
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: 'func-${name}-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identity.id
    siteConfig: {
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostAccount.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: maximumInstances
      }
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(
      {
        AzureWebJobsStorage__accountName: hostAccount.name
        AzureWebJobsStorage__clientId: identity.properties.clientId
        AzureWebJobsStorage__credential: 'managedidentity'
        APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
        APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
        APPSTORE_AUDIT_ACCOUNT: auditAccount
        APPSTORE_LOG_FORMAT: 'json'
        APPSTORE_PUBLIC_URL: 'https://${app.properties.defaultHostName}'
        APPSTORE_STORAGE_ACCOUNT: registerAccount.name
        APPSTORE_TELEMETRY_EXPORTER: 'application_insights'
        AZURE_CLIENT_ID: identity.properties.clientId
        AZURE_FUNCTIONS_DURABLE_STRICT_TYPING: '1'
        ENTRA_AUDIENCE: audience
        ENTRA_TENANT_ID: tenantId
        GITHUB_APP_ID: string(github.appId)
        GITHUB_INSTALLATION_ID: string(github.installationId)
        GITHUB_KEY_VAULT: 'https://${github.keyVaultName}${environment().suffixes.keyvaultDns}'
        GITHUB_OWNER: github.owner
        PYTHON_THREADPOOL_THREAD_COUNT: '32'
        SERVICEBUS__fullyQualifiedNamespace: serviceBusHost
        EVENTGRID_TOPIC_ENDPOINT: domainEvents.properties.endpoint
        TERRAFORM_STATE_ACCOUNT: terraformStateAccount
      },
      moreSettings
    )
  }
}

// Publishing by password or FTP is off: packages come by the pipeline's identity.
resource publishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [
  for kind in ['ftp', 'scm']: {
    parent: app
    name: kind
    properties: {
      allow: false
    }
  }
]

resource hostRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [roles.blobOwner, roles.queueContributor, roles.tableContributor]: {
    name: guid(hostAccount.id, identity.id, role)
    scope: hostAccount
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource registerRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [roles.blobContributor, roles.tableContributor]: {
    name: guid(registerAccount.id, identity.id, role)
    scope: registerAccount
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// What happens to applications is told here; who wants to hear it subscribes (docs/domain-events.md).
resource domainEvents 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: 'evgt-${name}-${suffix}'
  location: location
  tags: tags
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
  }
}

resource domainEventsRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(domainEvents.id, identity.id, roles.eventSender)
  scope: domainEvents
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.eventSender)
  }
}

resource telemetryRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identity.id, roles.metricsPublisher)
  scope: insights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metricsPublisher)
  }
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: github.keyVaultName
}

resource vaultRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identity.id, roles.secretsUser)
  scope: vault
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsUser)
  }
}

@description('Name of the Function app; the pipeline deploys the package to it.')
output functionApp string = app.name

@description('Object id of the identity, to which landing zones give their roles.')
output principalId string = identity.properties.principalId

@description('Base address of the API.')
output url string = 'https://${app.properties.defaultHostName}/api'

@description('The topic of what happens to applications, to be subscribed to.')
output domainEventsTopicId string = domainEvents.id
