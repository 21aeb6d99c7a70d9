// The system topics of a subscription and who hears of them: part of events.bicep.
targetScope = 'resourceGroup'

@description('Resource id of the App Store\'s Function app.')
param functionAppId string

@description('Storage account and container for events that could not be delivered.')
param deadLetters {
  accountId: string
  container: string
}

@description('Tags of every resource.')
param tags object = {}

// The names of functions and events are those of triggers/event_grid_*.py and rules/events.yaml.
var topics = [
  {
    name: 'resources'
    type: 'Microsoft.Resources.Subscriptions'
    function: 'take_resources_event'
    events: [
      'Microsoft.Resources.ResourceWriteSuccess'
      'Microsoft.Resources.ResourceDeleteSuccess'
      'Microsoft.Resources.ResourceActionSuccess'
    ]
  }
  {
    name: 'policy'
    type: 'Microsoft.PolicyInsights.PolicyStates'
    function: 'take_policy_event'
    events: [
      'Microsoft.PolicyInsights.PolicyStateCreated'
      'Microsoft.PolicyInsights.PolicyStateChanged'
    ]
  }
]

resource system 'Microsoft.EventGrid/systemTopics@2025-02-15' = [
  for topic in topics: {
    name: 'evgt-appstore-${topic.name}'
    location: 'global'
    tags: tags
    properties: {
      source: subscription().id
      topicType: topic.type
    }
  }
]

resource subscriptions 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = [
  for (topic, index) in topics: {
    parent: system[index]
    name: 'appstore'
    properties: {
      eventDeliverySchema: 'EventGridSchema'
      destination: {
        endpointType: 'AzureFunction'
        properties: {
          resourceId: '${functionAppId}/functions/${topic.function}'
          maxEventsPerBatch: 100 // events of a batch share the transactions that write their rows
          preferredBatchSizeInKilobytes: 512
        }
      }
      filter: {
        includedEventTypes: topic.events
      }
      retryPolicy: {
        eventTimeToLiveInMinutes: 1440
        maxDeliveryAttempts: 30
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: deadLetters.accountId
          blobContainerName: deadLetters.container
        }
      }
    }
  }
]
