"""Jobs: a pod that runs to its end, again until it succeeds or `backoffLimit` is reached; and their part of the API.

https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel, Store

from .pods import Pod, PodError

DEFAULT_BACKOFF_LIMIT = 6
MakePod = Callable[[Any, dict[str, Any]], Awaitable[Pod]]


class Jobs:
    """Runs Jobs; one that a restart of the stand-ins interrupted is run again, as a cluster does after a lost node."""

    def __init__(self, kernel: Kernel, store: Store, make: MakePod) -> None:
        self._kernel, self._store, self._make = kernel, store, make
        self._running: set[Any] = set()

    def status(self, place: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._store.get(f"job/{place.key('Job')}") or {}
        return found

    def begin(self, place: Any, manifest: dict[str, Any]) -> None:
        """Run it in the background, unless it has ended or runs already."""
        if place not in self._running and not self.status(place).get("conditions"):
            self._running.add(place)
            self._kernel.spawn(self._run(place, manifest["spec"]), f"job {place.namespace}/{place.name}")

    def forget(self, place: Any) -> None:
        self._store.delete(f"job/{place.key('Job')}")

    async def _run(self, place: Any, spec: dict[str, Any]) -> None:
        try:
            await self._until_done(place, spec)
        finally:
            self._running.discard(place)

    async def _until_done(self, place: Any, spec: dict[str, Any]) -> None:
        failed, limit = 0, int(spec.get("backoffLimit", DEFAULT_BACKOFF_LIMIT))
        while failed <= limit:
            succeeded, said = await self._once(place, spec["template"])
            failed += not succeeded
            status: dict[str, Any] = {"succeeded": int(succeeded), "failed": failed, "~log": said}
            if succeeded or failed > limit:
                kind = "Complete" if succeeded else "Failed"
                status["conditions"] = [{"type": kind, "status": "True"}]
            self._store.put(f"job/{place.key('Job')}", status)
            if succeeded:
                return

    async def _once(self, place: Any, template: dict[str, Any]) -> tuple[bool, str]:
        """One pod, from its start to its end; whether it succeeded, and the end of its log."""
        try:
            pod = await self._make(place, template)
            await pod.launch()
        except PodError as error:
            return False, str(error)
        try:
            return pod.process is not None and await pod.process.wait() == 0, pod.tail()
        finally:
            await pod.stop()

    async def answer(self, request: web.Request, place: Any, manifest: dict[str, Any] | None) -> web.Response:
        """GET of a Job, or of its log (here below the job, in a cluster below its pod)."""
        if manifest is None:
            message = f'jobs.batch "{place.name}" not found'
            return web.json_response({"kind": "Status", "code": 404, "message": message}, status=404)
        status = self.status(place)
        if request.path.endswith("/log"):
            return web.Response(text=status.get("~log", ""))
        shown = {name: value for name, value in status.items() if not name.startswith("~")}
        return web.json_response(manifest | {"status": shown})
