# mypy: ignore-errors
# ruff: noqa: ARG001 - a function app: orchestrators are untyped generators, parameters bind by name
import azure.functions as func

app = func.FunctionApp()


@app.route()
async def mismatch(request: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("the parameter is called req in the binding")
