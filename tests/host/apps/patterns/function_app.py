# mypy: ignore-errors
# ruff: noqa: ANN201, ARG001, ASYNC110 - a function app: orchestrators are untyped generators, parameters bind by name
import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
Context = df.DurableOrchestrationContext


# activities


@app.activity_trigger(input_name="number")
async def add_one(number: int) -> int:
    return number + 1


@app.activity_trigger(input_name="payload")
async def echo(payload: dict) -> dict:
    return payload


@app.activity_trigger(input_name="text")
async def fail(text: str) -> str:
    raise ValueError(text)


@app.activity_trigger(input_name="name")
async def count_then_work(name: str) -> int:
    """Fails twice, then works: the file of the test counts the attempts."""
    path = Path(os.environ["TEST_DIR"]) / name
    attempts = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(attempts))
    if attempts < 3:
        raise RuntimeError(f"attempt {attempts}")
    return attempts


@app.activity_trigger(input_name="seconds")
def block(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.activity_trigger(input_name="name")
async def gate(name: str) -> str:
    """Says it began, then waits for the test to open the gate."""
    folder = Path(os.environ["TEST_DIR"])
    with (folder / f"{name}.began").open("a") as began:
        began.write("x")
    while not (folder / f"{name}.open").exists():
        await asyncio.sleep(0.02)
    return name


@app.activity_trigger(input_name="name")
async def die_once(name: str) -> str:
    path = Path(os.environ["TEST_DIR"]) / name
    if not path.exists():
        path.write_text("died")
        os._exit(3)
    return "survived"


# orchestrators


@app.orchestration_trigger(context_name="context")
def chain(context: Context):
    total = context.get_input() or 0
    for _ in range(3):
        total = yield context.call_activity("add_one", total)
    return total


@app.orchestration_trigger(context_name="context")
def fan(context: Context):
    results = yield context.task_all([context.call_activity("add_one", n) for n in range(10)])
    return sum(results)


@app.orchestration_trigger(context_name="context")
def parent(context: Context):
    children = [context.call_sub_orchestrator("chain", n, f"{context.instance_id}:child:{n}") for n in range(3)]
    named = yield context.task_all(children)
    unnamed = yield context.call_sub_orchestrator("chain", 100)
    return [*named, unnamed]


@app.orchestration_trigger(context_name="context")
def failing_child(context: Context):
    try:
        yield context.call_sub_orchestrator("failing", "deep")
    except Exception as error:  # noqa: BLE001 - the SDK raises plain Exception
        return str(error)


@app.orchestration_trigger(context_name="context")
def failing(context: Context):
    yield context.call_activity("fail", context.get_input())


@app.orchestration_trigger(context_name="context")
def retrying(context: Context):
    options = df.RetryOptions(first_retry_interval_in_milliseconds=50, max_number_of_attempts=3)
    return (yield context.call_activity_with_retry("count_then_work", options, context.get_input()))


@app.orchestration_trigger(context_name="context")
def retry_in_vain(context: Context):
    options = df.RetryOptions(first_retry_interval_in_milliseconds=20, max_number_of_attempts=2)
    try:
        yield context.call_activity_with_retry("fail", options, "no")
    except Exception:  # noqa: BLE001 - the SDK raises plain Exception
        return (yield context.call_activity("add_one", 41))


@app.orchestration_trigger(context_name="context")
def approval(context: Context):
    """Human interaction: the event or the deadline, the loser is cancelled."""
    deadline = context.current_utc_datetime + timedelta(seconds=context.get_input())
    timer = context.create_timer(deadline)
    decision = context.wait_for_external_event("decision")
    context.set_custom_status({"waiting": "decision"})
    winner = yield context.task_any([decision, timer])
    if winner == timer:
        return "expired"
    timer.cancel()
    return decision.result


@app.orchestration_trigger(context_name="context")
def two_events(context: Context):
    yield context.call_activity("gate", context.instance_id)
    first = yield context.wait_for_external_event("one")
    second = yield context.wait_for_external_event("two")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def hint(context: Context):
    """Every wake-up waits afresh: duplicates of an event do no harm."""
    seen = []
    while "done" not in seen:
        seen.append((yield context.wait_for_external_event("wake")))
        context.set_custom_status(len(seen))
    return len(seen)


@app.orchestration_trigger(context_name="context")
def timer_chain(context: Context):
    start = context.current_utc_datetime
    for _ in range(2):
        yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=200))
    return (context.current_utc_datetime - start).total_seconds()


@app.orchestration_trigger(context_name="context")
def two_timers(context: Context):
    now, unit = context.current_utc_datetime, context.get_input()
    yield context.task_all([context.create_timer(now + timedelta(seconds=unit * n)) for n in (1, 4)])
    return "both"


@app.orchestration_trigger(context_name="context")
def eternal(context: Context):
    count = context.get_input()
    count = yield context.call_activity("add_one", count)
    if count < 5:
        context.continue_as_new(count)
        return None
    return count


@app.orchestration_trigger(context_name="context")
def gated(context: Context):
    return (yield context.call_activity("gate", context.get_input()))


@app.orchestration_trigger(context_name="context")
def blocked(context: Context):
    tasks = [context.call_activity("block", context.get_input()) for _ in range(20)]
    return len((yield context.task_all(tasks)))


@app.orchestration_trigger(context_name="context")
def blocked_once(context: Context):
    yield context.call_activity("block", context.get_input())


@app.orchestration_trigger(context_name="context")
def mortal(context: Context):
    return (yield context.call_activity("die_once", context.get_input()))


@app.orchestration_trigger(context_name="context")
def unknown_activity(context: Context):
    yield context.call_activity("nobody", 1)


@app.orchestration_trigger(context_name="context")
def entity_call(context: Context):
    yield context.call_entity(df.EntityId("counter", "one"), "get")


@app.orchestration_trigger(context_name="context")
def http_call(context: Context):
    yield context.call_http("GET", "http://localhost/")


@app.orchestration_trigger(context_name="context")
def changing(context: Context):
    """Its code depends on a setting, as if it had been edited between two starts of the host."""
    if os.environ.get("CODE_VERSION") == "2":
        yield context.call_activity("add_one", 1)
    yield context.call_activity("gate", context.instance_id)
    yield context.call_activity("echo", {})
    return "done"


# HTTP functions with a durable client


@app.route(route="start/{name}/{instance?}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    payload = req.get_json() if req.get_body() else None
    try:
        instance = await client.start_new(req.route_params["name"], req.route_params.get("instance"), payload)
    except Exception as error:  # noqa: BLE001 - the SDK raises plain Exception
        return func.HttpResponse(str(error), status_code=409)
    return client.create_check_status_response(req, instance)


@app.route(route="client/{operation}/{instance}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def use_client(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    operation, instance = req.route_params["operation"], req.route_params["instance"]
    if operation == "raise":
        await client.raise_event(instance, req.params["event"], req.get_json())
    elif operation == "purge":
        result = await client.purge_instance_history(instance)
        return func.HttpResponse(str(result.instances_deleted))
    elif operation == "status":
        status = await client.get_status(instance)
        return func.HttpResponse(str(status.runtime_status and status.runtime_status.name))
    else:
        await getattr(client, operation)(instance, "because")
    return func.HttpResponse(status_code=202)


@app.route(route="wait/{seconds}")
async def wait(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.route_params["seconds"]))
    return func.HttpResponse("waited")


@app.route(route="crash")
async def crash(req: func.HttpRequest) -> func.HttpResponse:
    os._exit(9)
