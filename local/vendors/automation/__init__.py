"""Stand-in for the jobs of an Azure Automation account: the published runbook really runs, in a process of its own.

https://learn.microsoft.com/rest/api/automation/job
"""

import asyncio
import contextlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

ACCOUNT = r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.automation/automationaccounts/[^/]+"
CALLS = re.compile(rf"{ACCOUNT}/jobs/([^/]+)(/output)?", re.IGNORECASE)
UNFINISHED = ("New", "Running")


def build(kernel: Kernel) -> Vendor:
    jobs = Jobs(kernel)
    return Vendor(
        name="automation",
        hosts=(),
        routes=[web.route("*", "/{path:.*}", jobs.handle)],
        start=jobs.resume,
        takes=lambda request: request.host == "management.azure.com" and bool(CALLS.fullmatch(request.path)),
    )


class Jobs:
    """Documents: `runbook/<name>` was published, `job/<name>` was started."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.store = kernel.store("automation")

    async def handle(self, request: web.Request) -> web.Response:
        name, output = CALLS.findall(request.path)[0]
        token = request.headers.get("Authorization", "").partition(" ")[2]
        try:
            self.kernel.vendor("entra").verify(token)
        except ValueError as error:
            return _error(401, "InvalidAuthenticationToken", str(error))
        job = self.store.get(f"job/{name}")
        if request.method == "PUT" and not output:
            return self._create(name, job, (await request.json())["properties"])
        if request.method != "GET":
            return _error(405, "HttpMethodNotSupported", f"{request.method} is not supported here.")
        if job is None:
            return _error(404, "NotFound", "The job was not found.")
        if output:
            return web.Response(text=job["output"])
        return web.json_response(_view(name, job))

    def _create(self, name: str, job: dict[str, Any] | None, wanted: dict[str, Any]) -> web.Response:
        runbook = wanted["runbook"]["name"]
        if job is not None:
            return _error(409, "Conflict", f"A job with the id {name} exists already.")
        if self.store.get(f"runbook/{runbook}") is None:
            return _error(400, "BadRequest", f"The runbook {runbook} does not exist or is not published.")
        job = {"runbook": runbook, "parameters": wanted.get("parameters", {}), "status": "New", "output": ""}
        self.store.put(f"job/{name}", job)
        self.kernel.spawn(self._run(name, job), f"automation job {name}")
        return web.json_response(_view(name, job), status=201)

    async def resume(self) -> None:
        """Azure's jobs do not end with this process: what had not ended begins again."""
        for key, job in list(self.store.list("job/")):
            if job["status"] in UNFINISHED:
                self.kernel.spawn(self._run(key.removeprefix("job/"), job), key)

    async def _run(self, name: str, job: dict[str, Any]) -> None:
        self.store.put(f"job/{name}", {**job, "status": "Running"})
        code, printed, failed = await self._process(str(self.store.get(f"runbook/{job['runbook']}")), job["parameters"])
        ended = {"status": "Failed", "exception": failed} if code else {"status": "Completed"}
        with contextlib.suppress(KeyError):  # reset meanwhile
            self.store.put(f"job/{name}", {**job, "output": printed, **ended})

    async def _process(self, source: str, parameters: dict[str, str]) -> tuple[int, str, str]:
        """A runbook of Python gets its parameters by position, and the endpoint of the account's identity."""
        identity = {
            "IDENTITY_ENDPOINT": f"{self.kernel.proxy_url}/msi/token",
            "IDENTITY_HEADER": "local",
        }
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "runbook.py"
            file.write_text(source, encoding="utf-8")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", str(file), *parameters.values(),
                env=self.kernel.child_environment() | identity, stdout=-1, stderr=-1,
            )  # fmt: skip
            printed, failed = await process.communicate()
        return process.returncode or 0, printed.decode("utf-8", "replace"), failed.decode("utf-8", "replace")[-2000:]


def _view(name: str, job: dict[str, Any]) -> dict[str, Any]:
    shown = {key: job.get(key) for key in ("status", "parameters", "exception")}
    return {"name": name, "properties": {"jobId": name, "runbook": {"name": job["runbook"]}, **shown}}


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
