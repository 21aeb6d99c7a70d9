# mypy: ignore-errors
# ruff: noqa: ARG001 - a function app: orchestrators are untyped generators, parameters bind by name
import asyncio
import json
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


def _note(name: str, text: str) -> None:
    with (Path(os.environ["TEST_DIR"]) / name).open("a") as file:
        file.write(text + "\n")


@app.timer_trigger(schedule="*/1 * * * * *", arg_name="timer")
async def every_second(timer: func.TimerRequest) -> None:
    """Longer than its period: never two at a time."""
    _note("every_second", "begin")
    await asyncio.sleep(1.2)
    _note("every_second", "end")
    raise RuntimeError("a failure never stops a schedule")


@app.timer_trigger(schedule="%YEARLY%", arg_name="timer")
async def yearly(timer: func.TimerRequest) -> None:
    _note("yearly", json.dumps({"past_due": timer.past_due, "status": timer.schedule_status}))
