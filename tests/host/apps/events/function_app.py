# mypy: ignore-errors

import json
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


def _note(**seen: object) -> None:
    with (Path(os.environ["TEST_DIR"]) / "seen").open("a") as file:
        file.write(json.dumps(seen) + "\n")


@app.event_grid_trigger(arg_name="event")
def take(event: func.EventGridEvent) -> None:
    data = event.get_json()
    _note(id=event.id, topic=event.topic, kind=event.event_type, subject=event.subject, data=data)
    if data.get("fail"):
        raise RuntimeError("as asked")


@app.event_grid_trigger(arg_name="event")
def take_cloud_event(event: func.CloudEvent) -> None:
    _note(id=event.id, source=event.source, kind=event.type, data=event.get_json())
