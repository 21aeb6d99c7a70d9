# mypy: ignore-errors
# ruff: noqa: ANN201 - a function app: orchestrators are untyped generators, parameters bind by name
"""Every pattern in one orchestration, with an output that tells whether each part ran exactly as it should."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df

app = df.DFApp()
Context = df.DurableOrchestrationContext


@app.activity_trigger(input_name="number")
async def double(number: int) -> int:
    await asyncio.sleep(0.01)
    return number * 2


@app.activity_trigger(input_name="number")
def double_blocking(number: int) -> int:
    return number * 2


@app.activity_trigger(input_name="name")
async def flaky(name: str) -> str:
    path = Path(os.environ["TEST_DIR"]) / name
    if not path.exists():
        path.touch()
        raise RuntimeError("first attempt")
    return name


@app.orchestration_trigger(context_name="context")
def child(context: Context):
    number = context.get_input()
    yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=50 + number % 7 * 40))
    return (yield context.call_activity("double", number))


@app.orchestration_trigger(context_name="context")
def looping(context: Context):
    state = context.get_input()
    value = yield context.call_activity("double_blocking", state["value"])
    if state["rounds"] > 1:
        context.continue_as_new({"value": value, "rounds": state["rounds"] - 1})
        return None
    return value


@app.orchestration_trigger(context_name="context")
def storm(context: Context):
    number = context.get_input()
    me = context.instance_id
    options = df.RetryOptions(first_retry_interval_in_milliseconds=30, max_number_of_attempts=5)
    first = yield context.call_activity("double", number)
    children = [
        context.call_sub_orchestrator("child", number, f"{me}:child:1"),
        context.call_sub_orchestrator("child", number + 1),
        context.call_sub_orchestrator("looping", {"value": 1, "rounds": 3}),
        context.call_activity("double_blocking", number + 2),
    ]
    rest = yield context.task_all(children)
    name = yield context.call_activity_with_retry("flaky", options, me.replace(":", "_"))
    deadline = context.create_timer(context.current_utc_datetime + timedelta(milliseconds=100))
    never = context.wait_for_external_event("never")
    winner = yield context.task_any([deadline, never])
    return {"first": first, "rest": rest, "name": name, "expired": winner == deadline}
