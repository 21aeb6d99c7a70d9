import azure.functions as func

app = func.FunctionApp()


@app.route()
async def mismatch(request: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("the parameter is called req in the binding")
