# mypy: ignore-errors

import asyncio
import json
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="commands", connection="SERVICEBUS", is_sessions_enabled=True
)
async def take(message: func.ServiceBusMessage) -> None:
    seen = {
        "id": message.message_id,
        "session": message.session_id,
        "text": message.get_body().decode(),
        "deliveries": message.delivery_count,
        "subject": message.subject,
        "sequence": message.sequence_number,
        "properties": message.application_properties,
        "lockedUntil": message.locked_until,
    }
    with (Path(os.environ["TEST_DIR"]) / "seen").open("a") as file:
        file.write(json.dumps(seen) + "\n")
    if seen["text"] == "slow" and seen["deliveries"] == 1:
        await asyncio.sleep(2)
    if seen["text"] == "poison":
        raise RuntimeError("never")
    if seen["text"] == "once" and seen["deliveries"] == 1:
        raise RuntimeError("the first time")
