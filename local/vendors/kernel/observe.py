"""The middleware around every call: latency, faults, the journal, and an honest 501."""

import asyncio
import logging
import time
import traceback
from typing import Any

from aiohttp import web

from .faults import Dropped, Fault, Faults, Handler, apply
from .journal import Journal
from .redaction import journal_body, redact_url
from .vendor import Directory, Vendor

UNKNOWN_SYSTEM = "unknown"
MUTATING = web.RequestKey("mutating", bool)
HELD_TICKS, HELD_TICK_SECONDS = 600, 0.1
READS = frozenset({"GET", "HEAD", "OPTIONS"})
CORRELATION = (
    "x-ms-client-request-id",
    "x-ms-correlation-request-id",
    "x-request-id",
    "traceparent",
    "idempotency-key",
    "if-match",
    "if-none-match",
)
VENDOR_IDS = ("x-ms-request-id", "x-github-request-id", "request-id")

log = logging.getLogger("local.vendors")


class Observer:
    """Runs the handlers of the stand-ins and writes down what happened."""

    def __init__(self, directory: Directory, faults: Faults, journal: Journal) -> None:
        self._directory = directory
        self._faults = faults
        self._journal = journal

    async def run(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one call. Faults and latency apply to stand-ins only; every call is in the journal."""
        started = time.perf_counter()
        vendor = self._directory.of(request)
        system = vendor.name if vendor else UNKNOWN_SYSTEM
        body = await journal_body(request, vendor.secret_fields if vendor else frozenset())
        fault = self._faults.take(system, request, body)
        await self._faults.wait(system)
        response: web.StreamResponse | None = None
        try:
            response = await _answer(request, handler, vendor, fault)
        except Dropped:
            if request.transport is not None:
                request.transport.abort()
        self._journal.append(
            {
                **_describe(request, system),
                "body": body,
                "status": response.status if response is not None else None,
                "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                "correlation": _correlation(request, response),
                "fault": fault.mode if fault else None,
            }
        )
        if fault and fault.mode == "hold":
            await _hold(request)
        return response if response is not None else web.Response(status=500)


async def _hold(request: web.Request) -> None:
    """Keep the answer of a call that is done back until the caller is gone: the moment to kill it."""
    for _ in range(HELD_TICKS):
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(HELD_TICK_SECONDS)


async def _answer(
    request: web.Request, handler: Handler, vendor: Vendor | None, fault: Fault | None
) -> web.StreamResponse:
    async def run(request: web.Request) -> web.StreamResponse:
        return await _run_handler(request, handler, vendor)

    return await run(request) if fault is None else await apply(fault, request, run)


async def _run_handler(request: web.Request, handler: Handler, vendor: Vendor | None) -> web.StreamResponse:
    missing = request.match_info.http_exception
    if missing is not None:
        return not_implemented(request, vendor)
    try:
        return await handler(request)
    except web.HTTPException as answer:
        return answer
    except Exception:
        # The stand-in has a defect: the caller sees a server error as from any vendor, the log says where.
        log.exception("%s %s%s failed", request.method, request.host, request.path)
        return problem(500, "Stand-in failed", traceback.format_exc(limit=-1))


def not_implemented(request: web.Request, vendor: Vendor | None) -> web.Response:
    """501: the stand-ins do not know this host or this route of it."""
    call = f"{request.method} {request.scheme}://{request.host}{request.path}"
    detail = f"{vendor.name} has no stand-in for {call}" if vendor else f"no stand-in answers for {call}"
    return problem(501, "Not implemented by the stand-ins", detail)


def problem(status: int, title: str, detail: str) -> web.Response:
    """A problem document (RFC 9457) of the stand-ins themselves, not of a vendor."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return web.json_response(document, status=status, content_type="application/problem+json")


def _describe(request: web.Request, system: str) -> dict[str, Any]:
    return {
        "system": system,
        "method": request.method,
        "url": redact_url(f"{request.scheme}://{request.host}{request.raw_path}"),
        "agent": request.headers.get("User-Agent", ""),
        "content_type": request.headers.get("Content-Type"),
        "mutating": request.get(MUTATING, request.method not in READS),
    }


def _correlation(request: web.Request, response: web.StreamResponse | None) -> dict[str, str]:
    ids = {name: request.headers[name] for name in CORRELATION if name in request.headers}
    if response is not None:
        ids |= {name: response.headers[name] for name in VENDOR_IDS if name in response.headers}
    return ids
