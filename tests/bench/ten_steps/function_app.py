# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201 - the SDK reads hints at load and wants none on `context` and `client`
"""Ten steps that only take time: one after another as a scaffolder does it, or in branches as the App Store does it."""

import asyncio

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="runs/{flow}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client) -> func.HttpResponse:
    instance = await client.start_new(req.route_params["flow"], None, req.get_json())
    return client.create_check_status_response(req, instance)


@app.orchestration_trigger(context_name="context")
def in_turn(context):
    for milliseconds in context.get_input():
        yield context.call_activity("step", milliseconds)


@app.orchestration_trigger(context_name="context")
def branch(context):
    for milliseconds in context.get_input():
        yield context.call_activity("step", milliseconds)


@app.orchestration_trigger(context_name="context")
def in_branches(context):
    """The first three steps, then the rest in three branches, then the last one."""
    steps = context.get_input()
    yield context.call_sub_orchestrator("branch", steps[:3])
    yield context.task_all([context.call_sub_orchestrator("branch", steps[n:9:3]) for n in (3, 4, 5)])
    yield context.call_sub_orchestrator("branch", steps[9:])


@app.activity_trigger(input_name="milliseconds")
async def step(milliseconds: int) -> str:
    await asyncio.sleep(milliseconds / 1000)
    return "done"
