"""What the functions that Event Grid calls have in common."""

import azure.durable_functions as df
import azure.functions as func

from triggers._event_intake import from_event_grid, take_in

blueprint = df.Blueprint()


def event_grid_function(name: str) -> None:
    """Register a function that takes events in; it fails only while the register cannot be written.

    Event Grid then delivers the batch again. An event that is poisonous is a dead letter and harms no other.
    """

    async def take(event: func.EventGridEvent, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - the SDK sets the hint
        document = {
            "id": event.id,
            "topic": event.topic,
            "subject": event.subject,
            "eventType": event.event_type,
            "eventTime": event.event_time.isoformat() if event.event_time else "",
            "data": event.get_json(),
        }
        await take_in(client, from_event_grid(document))

    take.__name__ = take.__qualname__ = name
    bound = blueprint.durable_client_input(client_name="client")(take)
    blueprint.function_name(name)(blueprint.event_grid_trigger(arg_name="event")(bound))
