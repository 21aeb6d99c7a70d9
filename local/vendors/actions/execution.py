"""One run: its jobs in the order of `needs`, in parallel where that allows it."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.vendors.actions import workflows
from local.vendors.actions.concurrency import Groups
from local.vendors.actions.expressions import ExpressionError, Scope, text
from local.vendors.actions.runner import Job, now
from local.vendors.actions.uses import TABLE
from local.vendors.kernel import Kernel

Json = dict[str, Any]
Saved = Callable[[Json], None]
INHERITED = ("defaults", "permissions")


class Execution:
    """A run in progress. `saved` is called with a job's document each time that it changed."""

    def __init__(
        self, kernel: Kernel, run: Json, workflow: Json, groups: Groups, saved: Callable[[Json], None]
    ) -> None:
        self.kernel, self.run, self.workflow, self.saved = kernel, run, workflow, saved
        self.cancelled = asyncio.Event()
        self.live: dict[int, Job] = {}
        self._groups = groups
        self._folder = kernel.data_dir / "actions"
        contexts = {"github": github_context(run), "inputs": run["inputs"], "vars": self._variables("")}
        self.contexts: Json = contexts | {"env": workflow.get("env") or {}}
        loop = asyncio.get_running_loop()
        self._done: dict[str, asyncio.Future[Json]] = {key: loop.create_future() for key in workflow["jobs"]}

    def cancel(self) -> None:
        self.cancelled.set()
        for job in self.live.values():
            job.cancelled.set()

    async def perform(self, started: Callable[[], None]) -> str:
        """Run everything and return the conclusion."""
        async with self._turn(self.workflow.get("concurrency"), self.contexts) as mine:
            if mine:
                started()
            async with asyncio.TaskGroup() as tasks:
                for number, key in enumerate(self.workflow["jobs"], 1):
                    tasks.create_task(self._copies(number * 100, key))
        results = [future.result()["result"] for future in self._done.values()]
        return "cancelled" if self.cancelled.is_set() else _worst(results)

    async def _copies(self, number: int, key: str) -> None:
        """A job, once for each combination of its matrix, after the jobs that it needs."""
        spec = {name: self.workflow[name] for name in INHERITED if name in self.workflow} | self.workflow["jobs"][key]
        needs = {name: await asyncio.shield(self._done[name]) for name in spec["needs"]}
        contexts = self.contexts | {"needs": needs}
        matrix = workflows.matrix_of(spec | {"strategy": Scope(contexts).fill(spec.get("strategy") or {})})
        copies = (self._one(number + n, key, spec, contexts | {"matrix": each}) for n, each in enumerate(matrix))
        results = await asyncio.gather(*copies)
        outputs = {name: value for result in results for name, value in result["outputs"].items()}
        self._done[key].set_result({"result": _worst([each["result"] for each in results]), "outputs": outputs})

    async def _one(self, number: int, key: str, spec: Json, contexts: Json) -> Json:
        identifier = self.run["id"] * 100_000 + number
        log = str(self._folder / "logs" / f"{self.run['id']}-{identifier}.log")
        document: Json = {"id": identifier, "key": key, "name": key, "log": log, "steps": [], "environment": None}
        document |= {"status": "queued", "conclusion": None, "created_at": now(), "started_at": now()}
        document |= {"completed_at": None, "labels": [text(spec.get("runs-on", "local"))]}
        scope = Scope(contexts, self._checks(contexts["needs"]))
        outputs: Json = {}
        try:
            suffix = ", ".join(map(text, contexts["matrix"].values()))
            document["name"] = text(scope.fill(spec.get("name") or (f"{key} ({suffix})" if suffix else key)))
            conclusion = "cancelled" if self.cancelled.is_set() else "skipped"
            if scope.condition(spec.get("if")):
                self.saved(document)
                conclusion, outputs = await self._when_possible(document, spec, contexts)
        except ExpressionError as error:
            _write(log, f"##[error]{error}")
            conclusion = "failure"
        self.saved(document | {"status": "completed", "conclusion": conclusion, "completed_at": now()})
        tolerated = conclusion == "failure" and scope.fill(spec.get("continue-on-error")) is True
        return {"result": "success" if tolerated else conclusion, "outputs": outputs}

    async def _when_possible(self, document: Json, spec: Json, contexts: Json) -> tuple[str, Json]:
        used = [spec["uses"]] if "uses" in spec else [step["uses"] for step in spec["steps"] if "uses" in step]
        if unknown := [name for name in used if name.split("@")[0] not in TABLE]:
            names, table = ", ".join(unknown), "local/vendors/actions/uses.py"
            _write(document["log"], f"##[error]Unable to resolve action `{names}`: this runner has those of {table}")
            return "failure", {}
        environment = Scope(contexts).fill(spec.get("environment"))
        name = environment.get("name") if isinstance(environment, dict) else environment
        document["environment"] = name
        contexts = contexts | {"vars": self._variables(name or "")}
        async with self._turn(spec.get("concurrency"), contexts) as mine:
            if not mine:
                return "cancelled", {}
            folder = self._folder / "work" / str(self.run["id"]) / str(document["id"])
            job = Job(self.kernel, (self.run, document), spec, contexts, folder)
            self.live[document["id"]] = job
            ended = False
            try:
                result = await self._perform(job)
                ended = not job.cancelled.is_set()
                return result
            finally:
                for give_back in job.closing:
                    give_back(ended)
                del self.live[document["id"]]
                self.kernel.vendor("github").revoke_token(job.token)
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _perform(self, job: Job) -> tuple[str, Json]:
        job.document |= {"status": "in_progress", "started_at": now()}
        try:
            async with asyncio.timeout(float(job.scope.fill(job.spec.get("timeout-minutes", 360))) * 60):
                conclusion = await job.steps(TABLE, lambda: self.saved(job.document))
        except TimeoutError:
            job.log("##[error]The job has exceeded its maximum execution time.")
            return "failure", {}
        return conclusion, {
            name: text(job.scope.fill(value)) for name, value in (job.spec.get("outputs") or {}).items()
        }

    def _turn(self, rule: Any, contexts: Json) -> Any:
        filled = Scope(contexts).fill({"group": rule} if isinstance(rule, str) else rule or {})
        name = f"{self.run['repository_id']}/{filled['group']}" if filled else None
        return self._groups.turn(self.run["id"], name, filled, self.cancelled)

    def _checks(self, needs: Json) -> dict[str, Callable[[], bool]]:
        results = [need["result"] for need in needs.values()]
        return {
            "success": lambda: all(result == "success" for result in results) and not self.cancelled.is_set(),
            "failure": lambda: "failure" in results,
            "cancelled": self.cancelled.is_set,
            "always": lambda: True,
        }

    def _variables(self, environment: str) -> dict[str, str]:
        github = self.kernel.vendor("github")
        repository = github.repository(*self.run["repository"].split("/"))
        of_repository: dict[str, str] = github.variables(repository)
        return of_repository | (github.variables(repository, environment) if environment else {})


def github_context(run: Json) -> Json:
    """The `github` context. https://docs.github.com/actions/reference/workflows-and-actions/contexts."""
    pull, ref, site = run["payload"].get("pull_request") or {}, run["ref"], "github.com"
    owner, place = run["repository"].split("/")[0], f"{run['repository']}/{run['path']}@{ref}"
    context = {
        name: str(run[name]) for name in ("repository_id", "run_number", "run_attempt", "repository", "actor", "ref")
    }
    context |= {
        "run_id": str(run["id"]),
        "sha": run["head_sha"],
        "workflow_sha": run["head_sha"],
        "workflow_ref": place,
    }
    context |= {"ref_name": ref.split("/", 2)[2], "ref_type": "branch", "repository_owner": owner}
    context |= {"head_ref": pull.get("head", {}).get("ref", ""), "base_ref": pull.get("base", {}).get("ref", "")}
    context |= {"workflow": run["name"], "event_name": run["event"], "triggering_actor": run["actor"]}
    context |= {"repository_owner_id": "7001", "server_url": f"https://{site}", "api_url": f"https://api.{site}"}
    return context | {"event": run["payload"]}


def _worst(results: list[str]) -> str:
    """The result of several jobs; skipped ones do not count against the others."""
    return next((kind for kind in ("failure", "cancelled", "success") if kind in results), "skipped")


def _write(log: str, line: str) -> None:
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{now()} {line}\n")
