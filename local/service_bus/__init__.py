"""A broker that speaks AMQP 1.0 as Azure Service Bus does, for queues; see README.md."""
