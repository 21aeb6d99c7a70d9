"""The whole infrastructure flow as the App Store sees it: pull request, workflow of the repository, artefacts in blob
storage, state in the azurerm backend; all under the vendors' real names.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.sign_in import GITHUB, github_headers, identity_token
from local.stack import Stack

VARIABLES = json.loads(Path(__file__).with_name("environment.json").read_text())
REPOSITORY = f"{GITHUB}/repos/contoso/infrastructure"
ACCOUNT = "https://appstoretfstate.blob.core.windows.net"
PATH = "apps/payments-api/dev.tfvars.json"
STATE = "apps/payments-api/dev.tfstate"


@dataclass
class Pipeline:
    """A client of the infrastructure repository."""

    stack: Stack
    github: dict[str, str]
    wait_for: Callable[[Callable[[], bool]], None]

    def call(self, method: str, path: str, body: object = None) -> Any:
        answer = self.stack.vendors.request(method, f"{REPOSITORY}{path}", json=body, headers=self.github)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def propose(self, files: dict[str, str]) -> str:
        """Push a branch with these files and return its commit."""
        parent = self.call("GET", "/git/ref/heads/main")["object"]["sha"]
        entries = [{"path": path, "mode": "100644", "type": "blob", "content": text} for path, text in files.items()]
        tree = self.call("POST", "/git/trees", {"base_tree": parent, "tree": entries})["sha"]
        message = {"message": "change", "tree": tree, "parents": [parent]}
        commit = str(self.call("POST", "/git/commits", message)["sha"])
        self.call("POST", "/git/refs", {"ref": f"refs/heads/appstore/{uuid.uuid4().hex[:8]}", "sha": commit})
        return commit

    def run(self, action: str, **inputs: str) -> tuple[str, dict[str, Any]]:
        """Start the workflow, wait for its end, return conclusion and result."""
        run_id = f"{action}-{uuid.uuid4().hex[:8]}"
        target = {"application": "payments-api", "environment": "dev", "state_key": STATE}
        body = {"ref": "main", "inputs": {"run_id": run_id, "action": action, **target, **inputs}}
        self.call("POST", "/actions/workflows/iac.yml/dispatches", body)
        self.wait_for(lambda: self._found(run_id).get("status") == "completed")
        result = json.loads(self.blob(f"plans/{run_id}/result.json").content)
        return str(self._found(run_id)["conclusion"]), result

    def blob(self, name: str, method: str = "GET", **headers: str) -> httpx.Response:
        token = identity_token(self.stack, "https://storage.azure.com/")
        signed = {"Authorization": f"Bearer {token}", "x-ms-version": "2024-11-04", **headers}
        answer = self.stack.vendors.request(method, f"{ACCOUNT}/{name}", headers=signed)
        answer.raise_for_status()
        return answer

    def _found(self, run_id: str) -> dict[str, Any]:
        runs = self.call("GET", "/actions/workflows/iac.yml/runs?per_page=100")["workflow_runs"]
        return next((run for run in runs if run["display_title"] == f"iac {run_id}"), {})


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Azurite and the stand-ins, without the app."""
    stack = Stack(tmp_path_factory.mktemp("vendors"))
    stack.claim()
    try:
        stack.start_vendors()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def pipeline(vendors: Stack, wait_for: Callable[[Callable[[], bool]], None]) -> Pipeline:
    return Pipeline(vendors, github_headers(vendors), wait_for)


@pytest.mark.long
def test_plan_apply_and_destroy_by_the_workflow(pipeline: Pipeline) -> None:
    commit = pipeline.propose({PATH: json.dumps(VARIABLES)})
    conclusion, planned = pipeline.run("plan", commit=commit)
    assert (conclusion, planned["status"], planned["summary"]["create"]) == ("success", "succeeded", 19), planned
    change_set = pipeline.blob(f"plans/{planned['run_id']}/changeset.json").content
    assert hashlib.sha256(change_set).hexdigest() == planned["changeset_sha256"]
    _, again = pipeline.run("plan", commit=commit)
    assert again["changeset_sha256"] == planned["changeset_sha256"]

    saved = {"plan_run_id": planned["run_id"], "plan_sha256": planned["plan_sha256"]}
    conclusion, applied = pipeline.run("apply", commit=commit, **saved)
    assert (conclusion, applied["status"]) == ("success", "succeeded"), applied
    assert applied["outputs"]["hostname"] == "payments-api.dev.apps.contoso.com"
    state = json.loads(pipeline.blob(f"tfstate/{STATE}").content)
    assert len([item for item in state["resources"] if item["mode"] == "managed"]) == 19

    conclusion, stale = pipeline.run("apply", plan_run_id=again["run_id"], plan_sha256=again["plan_sha256"])
    assert (conclusion, stale["problem"]["stale"]) == ("failure", True), stale

    _, unchanged = pipeline.run("drift", commit=commit)
    assert unchanged["exit_code"] == 0, unchanged
    _, removal = pipeline.run("destroy-plan", commit=commit)
    saved = {"plan_run_id": removal["run_id"], "plan_sha256": removal["plan_sha256"]}
    conclusion, removed = pipeline.run("destroy", **saved)
    assert (conclusion, removed["summary"]["delete"]) == ("success", 19), removed


def test_a_change_that_brings_code_is_refused(pipeline: Pipeline) -> None:
    commit = pipeline.propose({"stacks/api/main.tf": "# mine", PATH: json.dumps(VARIABLES)})
    conclusion, result = pipeline.run("plan", commit=commit)
    assert (conclusion, result["problem"]["title"]) == ("failure", "Commit refused")
    assert "stacks/api/main.tf" in result["problem"]["detail"]


@pytest.mark.long
def test_a_lock_is_released_only_when_it_belongs_to_the_ended_run(pipeline: Pipeline) -> None:
    commit = pipeline.propose({PATH: json.dumps(VARIABLES)})
    _, ended = pipeline.run("plan", commit=commit)
    started = json.loads(pipeline.blob(f"plans/{ended['run_id']}/started.json").content)
    _, nothing = pipeline.run("unlock", lock_id=str(uuid.uuid4()), terminal_run_id=ended["run_id"])
    assert nothing["status"] == "succeeded", "a state that is not locked is fine"

    lock = _leave_lock(pipeline, started)
    _, other = pipeline.run("unlock", lock_id=str(uuid.uuid4()), terminal_run_id=ended["run_id"])
    assert other["problem"]["title"] == "Lock kept", other
    _, released = pipeline.run("unlock", lock_id=lock, terminal_run_id=ended["run_id"])
    assert released["problem"] is None
    assert pipeline.run("plan", commit=commit)[1]["status"] == "succeeded"


def _leave_lock(pipeline: Pipeline, started: dict[str, str]) -> str:
    """Lock the state as a run does that is killed: a lease, and who holds it in the blob's metadata."""
    lock = str(uuid.uuid4())
    about = {"ID": lock, "Operation": "OperationTypeApply", "Info": "", "Who": started["who"], "Version": "1.15.5"}
    about |= {"Created": started["at"].replace("+00:00", "Z"), "Path": f"tfstate/{STATE}"}
    encoded = base64.b64encode(json.dumps(about).encode()).decode()
    lease = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1", "x-ms-proposed-lease-id": lock}
    pipeline.blob(f"tfstate/{STATE}?comp=lease", "PUT", **lease)
    metadata = {"x-ms-lease-id": lock, "x-ms-meta-terraformlockid": encoded}
    pipeline.blob(f"tfstate/{STATE}?comp=metadata", "PUT", **metadata)
    return lock
