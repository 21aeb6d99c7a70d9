"""The durable HTTP API: `/runtime/webhooks/durabletask` for people, the rpc port for the SDK (HttpApiHandler.cs)."""

import json
import logging
from urllib.parse import unquote

from aiohttp import web

from local.host.durable import status
from local.host.durable.client import ArgumentError, Client, ConflictError, Filter
from local.host.durable.engine import Engine
from local.host.durable.events import moment
from local.host.durable.links import Links
from local.host.durable.store import Instance

_log = logging.getLogger("local.host.durable")
_PAGE = 100
_TOKEN = "x-ms-continuation-token"  # noqa: S105 - a page, not a secret
_REFUSED = {"rewind", "restart"}


class DurableApi:
    """Routes of the API below its two base addresses."""

    def __init__(self, engine: Engine, links: Links) -> None:
        self._engine, self._links, self._client = engine, links, Client(engine)

    async def handle(self, request: web.Request, path: str) -> web.StreamResponse:
        try:
            return await self._route(request, [unquote(part) for part in path.strip("/").split("/")])
        except ArgumentError as error:
            return _problem(
                400, "One or more of the arguments submitted is incorrect", error, "System.ArgumentException"
            )
        except ValueError as error:
            return _problem(400, "Invalid JSON content", error, "Newtonsoft.Json.JsonReaderException")
        except ConflictError as error:
            return _problem(500, "Something went wrong while processing your request", error)

    async def rpc(self, request: web.Request) -> web.StreamResponse:
        """The SDK's own entrance; loopback only, no key."""
        prefix = "/durabletask/"
        path = request.rel_url.raw_path
        return await self.handle(request, path.removeprefix(prefix)) if path.startswith(prefix) else _answer(404)

    async def _route(self, request: web.Request, path: list[str]) -> web.StreamResponse:  # noqa: PLR0911 - one per route
        match request.method, path:
            case "POST", ["orchestrators", name]:
                return await self._start(request, name, "")
            case "POST", ["orchestrators", name, instance_id]:
                return await self._start(request, name, instance_id)
            case "GET", ["instances"] | ["instances", ""]:
                return self._query(request)
            case "DELETE", ["instances"] | ["instances", ""]:
                return self._purge(request)
            case method, ["instances", instance_id, *operation]:
                instance = self._client.get(instance_id)
                if instance is not None:
                    return await self._instance(request, method, instance, operation)
            case _, ["entities", *_]:
                return _problem(501, "Durable entities are not implemented by this local host.")
        return _answer(404)

    async def _instance(  # noqa: PLR0911 - one return per route
        self, request: web.Request, method: str, instance: Instance, operation: list[str]
    ) -> web.StreamResponse:
        match method, [part.lower() for part in operation[:1]]:
            case "GET", []:
                return self._status(request, instance)
            case "DELETE", []:
                deleted = self._client.purge_one(instance)
                return web.json_response({"instancesDeleted": 1}) if deleted else _answer(404)
            case "POST", ["raiseevent"] if len(operation) == 2:
                return await self._raise_event(request, instance, operation[1])
            case "POST", [("terminate" | "suspend" | "resume") as verb]:
                if instance.finished:
                    return _answer(410)
                self._client.control(instance, verb, request.query.get("reason"))
                return _answer(202)
            case "POST", [verb] if verb in _REFUSED:
                return _problem(501, f"The durable operation '{verb}' is not implemented by this local host.")
        return _answer(404)

    async def _start(self, request: web.Request, name: str, instance_id: str) -> web.StreamResponse:
        body = await request.text()
        payload = json.dumps(json.loads(body), separators=(",", ":")) if body else None
        trace = request.headers.get("traceparent", "")
        version = request.query.get("version", "")
        instance_id = self._client.start(name, instance_id, payload, version=version, trace=trace)
        timeout = request.query.get("timeout")
        if timeout and await self._engine.finished(instance_id, float(timeout)):
            instance = self._client.get(instance_id)
            if instance is not None and instance.status == "Completed":
                return web.Response(text=instance.output or "null", content_type="application/json")
            if instance is not None:
                return self._status(request, instance)
        links = self._links.of(instance_id, _origin(request))
        del links["rewindPostUri"]
        headers = {"Location": links["statusQueryGetUri"], "Retry-After": "10"}
        return web.json_response(links, status=202, headers=headers)

    async def _raise_event(self, request: web.Request, instance: Instance, name: str) -> web.StreamResponse:
        if instance.finished:
            return _answer(410)
        if request.content_type != "application/json":
            return _problem(400, "Only application/json request content is supported")
        payload = json.dumps(json.loads(await request.text()), separators=(",", ":"))
        self._client.raise_event(instance.id, name, payload)
        return _answer(202)

    def _status(self, request: web.Request, instance: Instance) -> web.StreamResponse:
        show_input = _flag(request, "showInput", default=True)
        history = None
        if _flag(request, "showHistory") and instance.status != "Pending":
            raw = self._engine.store.history(instance.id)
            history = status.history(raw, show_output=_flag(request, "showHistoryOutput"), show_input=show_input)
        document = status.payload(instance, show_input=show_input, history=history)
        if not instance.finished:
            headers = {"Location": str(request.url), "Retry-After": "5"}
            return web.json_response(document, status=202, headers=headers)
        failed = instance.status == "Failed" and _flag(request, "returnInternalServerErrorOnFailure")
        return web.json_response(document, status=500 if failed else 200)

    def _query(self, request: web.Request) -> web.StreamResponse:
        offset = int(request.headers.get(_TOKEN) or 0)
        limit = int(request.query.get("top") or _PAGE)
        found = self._client.query(_filter(request), limit + 1, offset)
        show_input = _flag(request, "showInput", default=True)
        page = [status.payload(instance, show_input=show_input) for instance in found[:limit]]
        token = str(offset + limit) if len(found) > limit else ""
        return web.json_response(page, headers={_TOKEN: token})

    def _purge(self, request: web.Request) -> web.StreamResponse:
        if not request.query.get("createdTimeFrom"):
            return _problem(400, "Please provide value for 'createdTimeFrom' parameter.")
        deleted = self._client.purge(_filter(request))
        return web.json_response({"instancesDeleted": deleted}) if deleted else _answer(404)


def _filter(request: web.Request) -> Filter:
    def time(name: str) -> float | None:
        value = request.query.get(name)
        return moment(value).timestamp() if value else None

    listed = ",".join(request.query.getall("runtimeStatus", []))
    return Filter(
        created_from=time("createdTimeFrom"),
        created_to=time("createdTimeTo"),
        statuses=[name for name in listed.split(",") if name],
        prefix=request.query.get("instanceIdPrefix", ""),
    )


def _flag(request: web.Request, name: str, *, default: bool = False) -> bool:
    return request.query.get(name, str(default)).lower() == "true"


def _origin(request: web.Request) -> str:
    """Links follow the caller's own address; the SDK's calls get the public one."""
    return "" if request.path.startswith("/durabletask/") else f"{request.scheme}://{request.host}"


def _answer(code: int) -> web.Response:
    return web.Response(status=code)


def _problem(
    code: int, message: str, error: Exception | None = None, kind: str = "System.InvalidOperationException"
) -> web.Response:
    document = {"Message": message}
    if error is not None:
        document |= {"ExceptionMessage": str(error), "ExceptionType": kind, "StackTrace": ""}
    return web.json_response(document, status=code)
