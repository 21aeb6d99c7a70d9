import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="hello/{name:alpha}", methods=["GET"])
async def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"hello {req.route_params['name']}")


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext):
    total = context.get_input() or 0
    for _ in range(3):
        total = yield context.call_activity("add_one", total)
    return total


@app.activity_trigger(input_name="number")
async def add_one(number: int) -> int:
    return number + 1
