"""Tasks of the scaffolder, with the actions `debug:log` and `debug:wait`.

https://backstage.io/docs/features/software-templates/
"""

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jsonschema
from aiohttp import web
from jinja2.sandbox import SandboxedEnvironment

from local.vendors.kernel import Kernel

from .catalog import Catalog
from .reading import SAID, Document, Refused, refuse

TIMES = ("createdAt", "lastHeartbeatAt")
TEXT = SandboxedEnvironment(variable_start_string="${{", variable_end_string="}}")


class Scaffolder:
    """A task ends when somebody looks at it after its time: so it outlives a kill of this process."""

    def __init__(self, kernel: Kernel, catalog: Catalog) -> None:
        self._store = kernel.store("backstage")
        self.catalog = catalog

    async def create_task(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "templateRef" not in body:
            raise refuse("template")
        template = (await self.catalog.entities()).get(body["templateRef"].lower())
        if template is None:
            raise Refused("NotFoundError", f"Template {body['templateRef']} not found")
        validators = map(jsonschema.Draft7Validator, template["spec"]["parameters"])
        errors = [error for validator in validators for error in validator.iter_errors(body["values"])]
        if errors:  # the vendor's members, not all of its words
            told = [{"path": list(error.path), "name": error.validator, "message": error.message} for error in errors]
            return web.json_response({"errors": told}, status=400)
        spec = {name: template["spec"].get(name) for name in ("steps", "output")} | {"parameters": body["values"]}
        spec |= {"user": {}, "templateInfo": {"entityRef": body["templateRef"]}}
        waits = sum(step["input"].get("seconds", 0) for step in spec["steps"] if step["action"] == "debug:wait")
        task = {"id": str(uuid4()), "spec": spec, "status": "processing"} | dict.fromkeys(TIMES, _now())
        kept = {"task": task, "events": [], "ends": time.time() + waits}
        _say(kept, f"Starting up task with {len(spec['steps'])} steps")
        self._store.put(f"task/{task['id']}", kept)
        return web.json_response({"id": task["id"]}, status=201)

    async def list_tasks(self, request: web.Request) -> web.Response:
        if request.query.get("order") != "desc:created_at" or request.query.keys() - {"order", "limit", "offset"}:
            raise Refused("NotImplementedError", "the stand-in lists all tasks, the newest first")
        found = [self._now(key)["task"] for key, _ in self._store.list("task/")]
        found.sort(key=lambda task: str(task["createdAt"]), reverse=True)
        offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 100))
        return web.json_response({"tasks": found[offset : offset + limit], "totalTasks": len(found)})

    async def read_task(self, request: web.Request) -> web.Response:
        return web.json_response(self._one(request)["task"])

    async def list_events(self, request: web.Request) -> web.Response:
        """All of them: there is one from the start, so that the answer need not be held back."""
        if request.query:
            raise Refused("NotImplementedError", "the stand-in always gives all events")
        return web.json_response(self._one(request)["events"])

    async def cancel_task(self, request: web.Request) -> web.Response:
        """A word to the worker, which hears it at the end of the step that runs; a task that has ended stays."""
        kept = self._one(request)
        _say(kept, "Task has been cancelled.", "cancelled", status="cancelled")
        self._store.put(f"task/{kept['task']['id']}", kept)
        return web.json_response({"status": "cancelled"})

    def look(self, number: str) -> Document | None:
        """A task with its events, as it is by now; None when there is none."""
        return self._now(f"task/{number}") if self._store.get(f"task/{number}") else None

    def _one(self, request: web.Request) -> Document:
        if not (kept := self.look(request.match_info["id"])):
            raise Refused("NotFoundError", f"No task with id '{request.match_info['id']}' found")
        return kept

    def _now(self, key: str) -> Document:
        """A task as it is by now. One without an end was left by its worker, and nobody notices."""
        kept: Document = self._store.get(key) or {}
        if kept["task"]["status"] == "processing" and "ends" in kept:
            kept["task"]["lastHeartbeatAt"] = _now()
            if kept["ends"] <= time.time():
                _run(kept)
            self._store.put(key, kept)
        return kept


def _run(kept: Document) -> None:
    """All steps; the first that fails ends the task, and the others are skipped."""
    spec = kept["task"]["spec"]
    values, result = {"parameters": spec["parameters"]}, dict[str, Any]()
    for step in spec["steps"]:
        if result:
            said = f"Skipping step {step['id']} because a previous step failed"
            _say(kept, said, stepId=step["id"], status="skipped")
        elif error := _failure(kept, step):
            _say(kept, ": ".join(error.values()), stepId=step["id"], status="failed")
            result = {"error": error}
        else:
            said = TEXT.from_string(step["input"].get("message", "")).render(values)
            _say(kept, f"\033[32minfo\033[39m: {said}", stepId=step["id"])
    kept["task"]["status"] = "failed" if result else "completed"
    output = json.loads(TEXT.from_string(json.dumps(spec["output"])).render(values))
    _say(kept, f"Run completed with status: {kept['task']['status']}", "completion", **(result or {"output": output}))


def _failure(kept: Document, step: Document) -> dict[str, str]:
    if any(event["type"] == "cancelled" for event in kept["events"]):
        said = f"Step {step['id']} ({step['name']}) of task {kept['task']['id']} has been cancelled."
        return {"name": "Error", "message": said}
    if step["action"] not in ("debug:log", "debug:wait"):
        return {"name": "NotFoundError", "message": SAID["action"].format(step["action"])}
    return {}


def _say(kept: Document, message: str, kind: str = "log", **more: Any) -> None:
    event = {"id": len(kept["events"]) + 1, "isTaskRecoverable": False, "taskId": kept["task"]["id"]}
    kept["events"].append(event | {"body": {"message": message} | more, "type": kind, "createdAt": _now()})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
