"""Stand-in for Azure Deployment Stacks: part of Azure Resource Manager, which passes their calls on."""
