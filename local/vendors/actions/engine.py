"""What starts runs, what is known about them, cancel, and restart after a kill."""

import asyncio
import contextlib
from typing import Any

from local.vendors import runner_tools
from local.vendors.actions import workflows
from local.vendors.actions.concurrency import Groups
from local.vendors.actions.execution import Execution, github_context
from local.vendors.actions.expressions import ExpressionError, Scope, text
from local.vendors.actions.runner import Job, kill_leftovers, now
from local.vendors.kernel import Kernel

Json = dict[str, Any]

DRAIN_SECONDS = 20.0


class Engine:
    """The runs are documents; only the execution lives in memory, so that a killed one starts again from scratch."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.store = kernel.store("actions")
        self.folder = kernel.data_dir / "actions"
        self._executions: dict[int, Execution] = {}
        self._groups = Groups(self.cancel)

    async def start(self) -> None:
        """Restart from scratch every run that a kill interrupted; what is left of its processes ends first."""
        await asyncio.to_thread(kill_leftovers, self.folder / "work")
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        runner_tools.install(self.folder / "tools", self.kernel.root / "ca" / "attestations.pem")
        for _, run in list(self.store.list("runs/")):
            if run["status"] != "completed":
                for job in self.jobs(run["id"]):
                    self.store.delete(f"jobs/{run['id']}/{job['id']}")
                self._launch(run | {"status": "queued"})

    async def drain(self) -> None:
        """Let jobs end while the vendors are there: an apply that is cut off would leave its state locked."""
        running = [task for task in asyncio.all_tasks() if task.get_name().startswith("workflow run ")]
        if running:
            await asyncio.wait(running, timeout=DRAIN_SECONDS)

    async def dispatch(self, repository: Any, path: str, ref: str, sha: str, inputs: Json, *, actor: str) -> Json:
        """Start a workflow by hand; ValueError in GitHub's words when its file or the inputs do not allow it."""
        content = await repository.read(sha, path)
        if content is None:
            raise ValueError(f"Workflow file {path} does not exist on {ref}")
        workflow = workflows.load(content)
        given = workflows.inputs_of(workflow, inputs)
        event = {"inputs": {name: text(value) for name, value in given.items()}, "ref": f"refs/heads/{ref}"}
        facts = {"event": "workflow_dispatch", "ref": f"refs/heads/{ref}", "head_branch": ref, "head_sha": sha}
        return self._create(
            repository, workflow, facts | {"path": path, "payload": event, "actor": actor, "inputs": given}
        )

    async def event(self, repository: Any, name: str, ref: str, sha: str, event: Json, *, actor: str) -> None:
        """Start every workflow that an event triggers."""
        message = await repository.text("show", "-s", "--format=%B", sha)
        paths = await repository.folder(sha, workflows.FOLDER)
        if not paths or workflows.SKIP.search(message):
            return
        pull = event.get("pull_request")
        base = pull["base"]["sha"] if pull else event["before"]
        first = ("diff-tree", "--root", "-r", "--no-commit-id", "--name-only", sha)
        listing = await repository.text(*(("diff", "--name-only", f"{base}...{sha}") if base.strip("0") else first))
        branch = pull["head"]["ref"] if pull else ref.removeprefix("refs/heads/")
        facts = {"event": name, "ref": ref, "head_branch": branch, "head_sha": sha, "payload": event, "actor": actor}
        for path in paths:
            with contextlib.suppress(ValueError):  # a broken workflow file starts nothing
                workflow = workflows.load(await repository.read(sha, path) or b"")
                target = pull["base"]["ref"] if pull else branch
                if workflows.is_triggered(workflow, name, target, listing.splitlines()):
                    self._create(repository, workflow, facts | {"path": path, "inputs": {}})

    async def workflow_name(self, repository: Any, commit: str, path: str) -> str:
        try:
            return str(workflows.load(await repository.read(commit, path) or b"").get("name", path))
        except ValueError:
            return path

    def run(self, number: int) -> Json | None:
        return self.store.get(f"runs/{number:012}")

    def runs(self, repository_id: int) -> list[Json]:
        """The runs of a repository, newest first."""
        return [run for _, run in self.store.list("runs/") if run["repository_id"] == repository_id][::-1]

    def jobs(self, run: int) -> list[Json]:
        return [job for _, job in self.store.list(f"jobs/{run}/")]

    def live_job(self, number: int) -> Job | None:
        execution = self._executions.get(number // 100_000)
        return execution.live.get(number) if execution else None

    def cancel(self, number: int) -> None:
        """Ask a run to end; its steps are interrupted, `always()` steps still run."""
        if run := self.run(number):
            self._save(run, cancel=True)
        if execution := self._executions.get(number):
            execution.cancel()

    def _create(self, repository: Any, workflow: Json, facts: Json) -> Json:
        pull = facts["payload"].get("pull_request")
        run: Json = {"status": "queued", "conclusion": None, "run_attempt": 1, "created_at": now(), **facts}
        run |= {"repository": repository.full_name, "repository_id": repository.id, "run_started_at": now()}
        run |= {"name": workflow.get("name", facts["path"]), "visibility": repository.document["visibility"]}
        with self.store.transaction():
            run["id"] = (self.store.get("counter") or 10_000_000_000) + 1
            run["run_number"] = sum(each["path"] == run["path"] for each in self.runs(repository.id)) + 1
            self.store.put("counter", run["id"])
            run["display_title"] = _title(run, workflow) or (pull["title"] if pull else run["name"])
            self._save(run)
        self._launch(run)
        return run

    def _launch(self, run: Json) -> None:
        self.kernel.spawn(self._execute(run), f"workflow run {run['id']}")

    async def _execute(self, run: Json) -> None:
        number, repository = run["id"], self.kernel.vendor("github").repository(*run["repository"].split("/"))
        content = await repository.read(run["head_sha"], run["path"]) if repository else None
        try:
            workflow = workflows.load(content or b"")
        except ValueError:
            return self._save(run, status="completed", conclusion="startup_failure")
        execution = Execution(self.kernel, run, workflow, self._groups, self._saver(number))
        self._executions[number] = execution
        if (self.run(number) or {}).get("cancel"):
            execution.cancel()
        conclusion = "failure"
        try:
            conclusion = await execution.perform(lambda: self._save(run, status="in_progress", run_started_at=now()))
        except asyncio.CancelledError:
            conclusion = ""  # the stand-ins stop: the run starts again with them
            raise
        finally:
            del self._executions[number]
            if conclusion:
                self._save(run, status="completed", conclusion=conclusion)

    def _saver(self, run: int) -> Any:
        return lambda job: self.store.put(f"jobs/{run}/{job['id']}", job)

    def _save(self, run: Json, **changes: Any) -> None:
        kept = self.run(run["id"]) or run
        self.store.put(f"runs/{run['id']:012}", kept | changes | {"updated_at": now()})


def _title(run: Json, workflow: Json) -> str:
    with contextlib.suppress(ExpressionError):
        scope = Scope({"github": github_context(run), "inputs": run["inputs"], "vars": {}})
        return text(scope.fill(workflow.get("run-name") or "")).strip()
    return ""
