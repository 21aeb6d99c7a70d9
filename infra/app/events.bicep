// What happens to the resources of a subscription, told to the App Store. Deployed for each landing zone's subscription, after
// the app and its functions are there. Vaults have a topic each, by Azure Policy (infra/policy). What gets lost on the way is
// found by the timers.
targetScope = 'subscription'

@description('Resource id of the App Store\'s Function app.')
param functionAppId string

@description('Region of the resource group that holds the topics; the topics themselves are global.')
param location string = deployment().location

@description('Storage account and container for events that could not be delivered.')
param deadLetters {
  accountId: string
  container: string
}

@description('Tags of every resource.')
param tags object = {}

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-appstore-events'
  location: location
  tags: tags
}

module topics 'events-topics.bicep' = {
  name: 'appstore-events'
  scope: group
  params: {
    functionAppId: functionAppId
    deadLetters: deadLetters
    tags: tags
  }
}
