# mypy: ignore-errors
# ruff: noqa: ARG001 - a function app: orchestrators are untyped generators, parameters bind by name
import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="orders", connection="AzureWebJobsStorage")
async def on_order(message: func.QueueMessage) -> None:
    pass


@app.route()
@app.blob_output(arg_name="blob", path="out/x", connection="AzureWebJobsStorage")
async def write(req: func.HttpRequest, blob: func.Out[str]) -> func.HttpResponse:
    return func.HttpResponse("")
