# mypy: ignore-errors
# ruff: noqa: ARG001 - a function app: orchestrators are untyped generators, parameters bind by name
import json
import os
import sys
import time

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
GREETING = os.environ.get("GREETING", "none")  # read at import: settings come first


def _show(req: func.HttpRequest, name: str) -> func.HttpResponse:
    document = {
        "function": name,
        "method": req.method,
        "url": req.url,
        "params": dict(req.route_params),
        "query": dict(req.params),
        "headers": dict(req.headers),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(document), mimetype="application/json")


@app.route(route="items/special")
async def literal(req: func.HttpRequest) -> func.HttpResponse:
    return _show(req, "literal")


@app.route(route="items/{id:int}", methods=["GET", "DELETE"])
async def constrained(req: func.HttpRequest) -> func.HttpResponse:
    return _show(req, "constrained")


@app.route(route="items/{id}", methods=["GET"])
async def plain(req: func.HttpRequest) -> func.HttpResponse:
    return _show(req, "plain")


@app.route(route="optional/{name?}")
async def optional(req: func.HttpRequest) -> func.HttpResponse:
    return _show(req, "optional")


@app.route(route="default/{name=nobody}")
async def default(req: func.HttpRequest) -> func.HttpResponse:
    return _show(req, "default")


@app.route(route="files/{*rest}")
async def catch_all(req: func.HttpRequest) -> func.HttpResponse:
    return _show(req, "catch_all")


@app.route()
def greeting(req: func.HttpRequest) -> str:
    return GREETING


@app.route()
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return None


@app.route()
async def raises(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("secret detail")


@app.route()
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("ok", status_code=201, headers={"X-Custom": "yes", "Set-Cookie": "a=b; Path=/; HttpOnly"})


@app.route()
async def switched_off(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("on")


@app.route()
def hangs(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(30)
    return func.HttpResponse("late")


@app.route(auth_level=func.AuthLevel.FUNCTION)
async def guarded(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")


@app.route(auth_level=func.AuthLevel.ADMIN)
async def guarded_admin(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")


@app.route()
async def import_path(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(sys.path))
