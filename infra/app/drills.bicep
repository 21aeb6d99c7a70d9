// What the App Store's identity needs in a landing zone's subscription for restore drills, and nothing beside it. Deploy it once for
// each of them. The secrets of an application's vault it reads by the role that the application's own module gives it there (Key Vault
// Secrets Officer), an application's blobs by Storage Blob Data Reader on their account. In a drill's own vault it may do what that
// vault's access policy says, in a drill's own account what is said here of the container that only drills have.
targetScope = 'subscription'

@description('Object id of the App Store\'s identity (output principalId of main.bicep).')
param principalId string

var here = subscription().id
var blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'
var container = '@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name]'
var quoted = '\'drill-restore\'' // as activities/_restores/storage.py names it

resource drills 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(here, 'App Store restore drills')
  properties: {
    roleName: 'App Store restore drills'
    description: 'Restores data to resource groups apart, looks at what came of it, and removes those groups.'
    type: 'CustomRole'
    assignableScopes: [
      here
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Authorization/locks/read'
          'Microsoft.DBforPostgreSQL/flexibleServers/read'
          'Microsoft.DBforPostgreSQL/flexibleServers/write'
          'Microsoft.DBforPostgreSQL/flexibleServers/databases/read'
          'Microsoft.KeyVault/deletedVaults/read'
          'Microsoft.KeyVault/locations/deletedVaults/purge/action'
          'Microsoft.KeyVault/locations/deletedVaults/read'
          'Microsoft.KeyVault/vaults/read'
          'Microsoft.KeyVault/vaults/write'
          'Microsoft.KeyVault/vaults/accessPolicies/write'
          'Microsoft.Resources/subscriptions/resourceGroups/delete'
          'Microsoft.Resources/subscriptions/resourceGroups/read'
          'Microsoft.Resources/subscriptions/resourceGroups/write'
          'Microsoft.Resources/subscriptions/resourceGroups/resources/read'
          'Microsoft.Resources/tags/read'
          'Microsoft.Storage/storageAccounts/read'
          'Microsoft.Storage/storageAccounts/write'
          'Microsoft.Storage/storageAccounts/blobServices/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/write'
        ]
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
        ]
      }
    ]
  }
}

resource assigned 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(here, principalId, 'App Store restore drills')
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: drills.id
    conditionVersion: '2.0'
    condition: '(!(ActionMatches{\'${blobs}/read\'}) AND !(ActionMatches{\'${blobs}/write\'}) AND !(ActionMatches{\'${blobs}/add/action\'})) OR (${container} StringEquals ${quoted})'
  }
}
