import asyncio
import io
import json
import re
import textwrap
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web

from local.vendors import actions
from local.vendors.actions import toolcache
from local.vendors.kernel import Vendor
from tests.vendors.github_world import REPO, World

HEAD = "on: {workflow_dispatch: {inputs: {text: {default: ''}}}, push: {branches: [main]}, pull_request: {}}\n"
DEADLINE = 60


class Clouds:
    """Registry and cluster as the runner sees them."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def verify(self, token: str) -> dict[str, str]:
        return {"oid": f"principal of {token}"}

    def require_user(self, cluster: str, principal: str) -> None:
        self.calls.append(("user", cluster, principal))

    def require_writer(self, *place: str) -> None:
        self.calls.append(("writer", *place))

    def server(self, cluster: str) -> str:
        return f"{cluster}.hcp.westeurope.azmk8s.io"

    async def job(self, request: web.Request) -> web.Response:
        """A job of the cluster's API: complete when it is asked for the second time."""
        self.calls.append(("job", request.path, request.headers["Authorization"]))
        if request.path.endswith("/log"):
            return web.Response(text="3 rows\n")
        asked = sum(call[0] == "job" for call in self.calls)
        conditions = [{"type": "Complete", "status": "True"}] if asked > 1 else []
        return web.json_response({"kind": "Job", "status": {"conditions": conditions}})

    async def push(self, repository: str, tag: str, context: Path, dockerfile: Path) -> str:
        self.calls.append((repository, tag, context.name, dockerfile.name))
        return "sha256:" + "5" * 64

    async def apply(self, cluster: str, namespace: str, manifests: list[dict[str, Any]]) -> list[str]:
        if namespace == "wrong":
            raise RuntimeError("deployment has no ready pod: CrashLoopBackOff")
        self.calls.append((cluster, namespace, manifests))
        return [f"{manifest['kind']} configured" for manifest in manifests]


class ActionsWorld(World):
    def others(self) -> list[Vendor]:
        self.clouds = Clouds()
        login = web.post("/{tenant}/oauth2/v2.0/token", self._login)
        cluster = [web.get("/apis/batch/v1/{path:.*}", self.clouds.job)]
        return [
            Vendor("registry", (), [], self.clouds),
            Vendor("kubernetes", ("*.azmk8s.io",), cluster, self.clouds),
            Vendor("entra", ("login.microsoftonline.com",), [login], self.clouds),
            actions.build(self.kernel),
        ]

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        key = jwt.PyJWKSet.from_dict(self.kernel.vendor("github").oidc_keys()).keys[0]
        self.claims = jwt.decode(str(form["client_assertion"]), key, ["RS256"], audience="api://AzureADTokenExchange")
        if form["client_id"] == "wrong":
            return web.json_response({"error_description": "AADSTS700213: No matching federated identity"}, status=401)
        return web.json_response({"access_token": "azure-token-1234567890"})

    async def workflow(self, text: str, **files: str) -> str:
        """Commit a workflow to main without starting it."""
        text = HEAD + textwrap.dedent(text)
        named = {name.replace("__", "/").replace("_dot_", "."): content for name, content in files.items()}
        return await self.commit({".github/workflows/ci.yml": text, **named}, message="setup [skip ci]")

    async def dispatch(self, **inputs: str) -> int:
        wanted = {"ref": "main", "inputs": inputs, "return_run_details": True}
        number: int = (await self.call("POST", f"{REPO}/actions/workflows/ci.yml/dispatches", wanted, status=200))[
            "workflow_run_id"
        ]
        return number

    async def until(self, run: int, status: str = "completed") -> Any:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            shown = await self.call("GET", f"{REPO}/actions/runs/{run}")
            if shown["status"] == status:
                return shown
            await asyncio.sleep(0.02)
        raise AssertionError(f"run {run} is {shown['status']}: {await self.log(run)}")

    async def finish(self, **inputs: str) -> Any:
        return await self.until(await self.dispatch(**inputs))

    async def jobs(self, run: Any) -> dict[str, Any]:
        listed = await self.call("GET", f"{REPO}/actions/runs/{run['id']}/jobs")
        return {job["name"]: job for job in listed["jobs"]}

    async def log(self, run: int) -> str:
        await self.call("GET", f"{REPO}/actions/runs/{run}/logs", status=302)
        tls, proxy = self.kernel.authority.client_context(), self.kernel.proxy_url
        async with self.session.get(self.headers["Location"], proxy=proxy, ssl=tls) as response:
            archive = zipfile.ZipFile(io.BytesIO(await response.read()))
        return "".join(archive.read(name).decode() for name in archive.namelist())


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - a file made by another process
            await asyncio.sleep(0.02)


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ActionsWorld]:
    made = ActionsWorld(tmp_path)
    await made.start()
    await made.create()
    yield made
    await made.stop()


async def test_outputs_files_and_contexts_pass_from_step_to_step_and_job_to_job(world: ActionsWorld) -> None:
    await world.workflow("""
        run-name: deploy ${{ inputs.text }}
        env: {LEVEL: workflow}
        jobs:
          first:
            runs-on: ubuntu-latest
            outputs: {digest: "${{ steps.make.outputs.digest }}"}
            env: {LEVEL: job}
            steps:
              - id: make
                env: {LEVEL: step, TEXT: "${{ inputs.text }}"}
                run: |
                  echo "level=$LEVEL text=$TEXT"
                  echo "digest=sha256:1" >> "$GITHUB_OUTPUT"
                  printf 'LONG<<END\\na\\nb\\nEND\\n' >> "$GITHUB_ENV"
                  mkdir bin && printf '#!/bin/sh\\necho tool found' > bin/tool && chmod +x bin/tool
                  echo "$PWD/bin" >> "$GITHUB_PATH"
              - run: tool; echo "$LONG" | tr '\\n' '+'; echo "level=$LEVEL"
          second:
            needs: first
            runs-on: ubuntu-latest
            steps:
              - run: echo "got ${{ needs.first.outputs.digest }} on $GITHUB_REPOSITORY $GITHUB_EVENT_NAME"
    """)
    run = await world.finish(text="$(touch /tmp/x) ${{ github.token }}")
    log = await world.log(run["id"])
    assert run["conclusion"] == "success", log
    assert run["display_title"] == "deploy $(touch /tmp/x) ${{ github.token }}"
    assert "level=step text=$(touch /tmp/x) ${{ github.token }}" in log
    assert "tool found" in log
    assert "a+b+level=job" in log
    assert "got sha256:1 on contoso/payments-api workflow_dispatch" in log
    jobs = await world.jobs(run)
    assert [(job["status"], job["conclusion"]) for job in jobs.values()] == [("completed", "success")] * 2
    assert [step["conclusion"] for step in jobs["first"]["steps"]] == ["success", "success"]
    assert jobs["first"]["completed_at"] >= jobs["first"]["started_at"]


async def test_checkout_is_the_wanted_commit(world: ActionsWorld) -> None:
    old = await world.workflow("jobs: {a: {steps: []}}", src__app="one")
    await world.workflow(
        f"""
        jobs:
          a:
            permissions: {{contents: read}}
            steps:
              - uses: actions/checkout@v5
              - uses: actions/checkout@v5
                with: {{ref: "{old}", path: before, persist-credentials: false}}
              - run: cat src/app before/src/app; git -C before config --get-regexp extraheader || echo clean
        """,
        src__app="two",
    )
    run = await world.finish()
    log = await world.log(run["id"])
    assert run["conclusion"] == "success", log
    assert "twoone" in log
    assert "clean" in log
    assert "x-access-token" not in log


async def test_failure_skips_what_follows_and_always_runs(world: ActionsWorld) -> None:
    await world.workflow("""
        jobs:
          bad:
            steps:
              - run: "false"
                continue-on-error: true
                id: tolerated
              - run: |
                  echo "${{ steps.tolerated.outcome }}/${{ steps.tolerated.conclusion }}"
                  false
                  echo not reached
              - run: echo skipped
              - if: failure()
                run: echo "status ${{ job.status }}"
              - if: always()
                run: exit 0
          after: {needs: bad, steps: [{run: echo no}]}
          cleanup: {needs: bad, if: "always()", steps: [{run: "echo bad was ${{ needs.bad.result }}"}]}
    """)
    run = await world.finish()
    log, jobs = await world.log(run["id"]), await world.jobs(run)
    assert run["conclusion"] == "failure"
    assert [step["conclusion"] for step in jobs["bad"]["steps"]] == [
        *("success", "failure", "skipped", "success", "success"),
    ]
    assert "failure/success" in log
    assert "not reached" not in log
    assert (jobs["after"]["conclusion"], jobs["cleanup"]["conclusion"]) == ("skipped", "success")
    assert "bad was failure" in log


async def test_secrets_and_masks_do_not_reach_the_log(world: ActionsWorld) -> None:
    await world.workflow("""
        jobs:
          a:
            steps:
              - run: |
                  echo "a secret"
                  echo "::add-mask::hunter2"
                  echo "password hunter2 token ${{ secrets.GITHUB_TOKEN }} ${{ github.token }}"
    """)
    log = await world.log((await world.finish())["id"])
    assert "password *** token *** ***" in log
    assert not re.search("hunter2|ghs_", log)


async def test_id_token_carries_the_immutable_subject_of_its_environment(world: ActionsWorld) -> None:
    await world.call("PUT", f"{REPO}/environments/dev")
    await world.call("POST", f"{REPO}/environments/dev/variables", {"name": "CLIENT", "value": "c-1"}, status=201)
    await world.workflow("""
        permissions: {}
        jobs:
          a:
            environment: {name: dev, url: "https://${{ vars.HOST }}"}
            permissions: {id-token: write}
            steps:
              - uses: azure/login@v3
                with: {client-id: "${{ vars.CLIENT }}", tenant-id: t, subscription-id: s}
              - run: |
                  curl -sSf -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
                    "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=me" | grep -q '"value"'
          b: {steps: [{uses: azure/login@v3, with: {client-id: x, tenant-id: t}}]}
    """)
    run = await world.finish()
    jobs = await world.jobs(run)
    assert (jobs["a"]["conclusion"], jobs["b"]["conclusion"]) == ("success", "failure"), await world.log(run["id"])
    prefix = (await world.call("GET", f"{REPO}/actions/oidc/customization/sub"))["sub_claim_prefix"]
    assert world.claims["sub"] == f"{prefix}:environment:dev"
    assert world.claims["iss"] == "https://token.actions.githubusercontent.com"
    assert world.claims["run_id"] == str(run["id"])
    assert "id-token: write" in await world.log(run["id"])


async def test_refused_login_shows_entras_words(world: ActionsWorld) -> None:
    await world.workflow("""
        jobs:
          a:
            permissions: {id-token: write}
            steps: [{uses: azure/login@v3, with: {client-id: wrong, tenant-id: t}}]
    """)
    run = await world.finish()
    assert run["conclusion"] == "failure"
    assert "AADSTS700213" in await world.log(run["id"])


async def test_unknown_action_fails_the_job_before_any_step_and_names_it(world: ActionsWorld) -> None:
    await world.workflow("jobs: {a: {steps: [{run: echo ran}, {uses: some/thing@v1}]}}")
    run = await world.finish()
    log = await world.log(run["id"])
    assert run["conclusion"] == "failure"
    assert "some/thing@v1" in log
    assert "ran" not in log.replace("runner", "")


BUILD_AND_DEPLOY = """
jobs:
  build:
    permissions: {id-token: write}
    outputs: {digest: "${{ steps.image.outputs.digest }}"}
    steps:
      - uses: actions/checkout@v5
      - uses: docker/setup-buildx-action@v4
      - uses: github/codeql-action/init@v4
      - uses: docker/build-push-action@v7
        id: image
        with: {context: ., push: true, tags: "reg.azurecr.io/app:${{ github.sha }}"}
  deploy:
    needs: build
    permissions: {id-token: write}
    strategy: {matrix: {namespace: [good, wrong]}}
    steps:
      - uses: actions/checkout@v5
      - uses: azure/login@v3
        with: {client-id: c, tenant-id: t}
      - uses: azure/use-kubelogin@v1
      - uses: azure/aks-set-context@v5
        with: {resource-group: rg, cluster-name: aks, use-kubelogin: "true"}
      - uses: azure/k8s-bake@v3
        id: bake
        with:
          renderEngine: helm
          helmChart: chart
          overrideFiles: values-dev.yaml
          overrides: |
            image.repository:reg.azurecr.io/app
            image.digest:${{ needs.build.outputs.digest }}
      - uses: azure/k8s-deploy@v5
        with: {namespace: "${{ matrix.namespace }}", manifests: "${{ steps.bake.outputs.manifestsBundle }}"}
      - run: |
          kubectl wait job/first --namespace good --for=condition=complete --timeout=30s
          kubectl logs job/first --namespace good
"""


async def test_build_bake_and_deploy(world: ActionsWorld) -> None:
    chart = "apiVersion: v2\nname: app\nversion: 0.1.0\n"
    image = "'{{ .Values.image.repository }}@{{ .Values.image.digest }}'"
    template = f"kind: Deployment\nspec: {{image: {image}, ready: {{{{ .Values.ready }}}}}}\n"
    await world.workflow(
        BUILD_AND_DEPLOY,
        Dockerfile="FROM scratch",
        chart__Chart_dot_yaml=chart,
        chart__templates__d_dot_yaml=template,
        **{"values-dev_dot_yaml": "ready: true\n"},
    )
    run = await world.finish()
    jobs, log = await world.jobs(run), await world.log(run["id"])
    found = (jobs["build"]["conclusion"], jobs["deploy (good)"]["conclusion"], jobs["deploy (wrong)"]["conclusion"])
    assert found == ("success", "success", "failure"), log
    assert "CrashLoopBackOff" in log
    assert "job.batch/first condition met" in log
    assert "3 rows" in log
    steps = {step["name"]: step["conclusion"] for step in jobs["build"]["steps"]}
    assert steps["Run github/codeql-action/init@v4"] == "skipped", "what is not done is not green"
    place = "/apis/batch/v1/namespaces/good/jobs/first"
    bearer = "Bearer azure-token-1234567890"
    asked = [call for call in world.clouds.calls if call[0] == "job"]
    assert asked == [("job", place, bearer)] * 2 + [("job", f"{place}/log", bearer)]
    world.clouds.calls = [call for call in world.clouds.calls if call[0] != "job"]
    writer, pushed, *deployed = world.clouds.calls
    assert writer == ("writer", "reg.azurecr.io/app", "")
    assert pushed[:2] == ("reg.azurecr.io/app", run["head_sha"])
    principal = "principal of azure-token-1234567890"
    assert ("user", "aks", principal) in deployed
    assert ("writer", "aks", "wrong", principal) in deployed
    image = "reg.azurecr.io/app@sha256:" + "5" * 64
    assert ("aks", "good", [{"kind": "Deployment", "spec": {"image": image, "ready": True}}]) in deployed


async def test_python_is_isolated_and_artifacts_pass_between_jobs(world: ActionsWorld) -> None:
    await world.workflow("""
        jobs:
          a:
            steps:
              - uses: actions/setup-python@v6
                with: {python-version: "3.13"}
              - run: |
                  import sys
                  assert sys.prefix != sys.base_prefix and "/cache/python/" in sys.prefix, sys.prefix
                  open("report.txt", "w").write("fine")
                shell: python
              - uses: actions/upload-artifact@v6
                with: {name: report, path: report.txt}
          b:
            needs: a
            steps:
              - uses: actions/download-artifact@v7
                with: {name: report}
              - run: cat report.txt
          c: {steps: [{uses: actions/setup-python@v6, with: {python-version: "3.9"}}]}
    """)
    run = await world.finish()
    jobs, log = await world.jobs(run), await world.log(run["id"])
    assert {name: job["conclusion"] for name, job in jobs.items()} == {
        "a": "success",
        "b": "success",
        "c": "failure",
    }, log
    assert " fine" in log
    assert "'3.9' was not found" in log


def test_python_of_an_interrupted_job_is_made_afresh(tmp_path: Path) -> None:
    closing: toolcache.Closing = []
    first, second = (toolcache.take(tmp_path, "key", closing) for _ in range(2))
    assert first != second
    for folder in (first, second):
        folder.mkdir()
    closing[0](True)
    closing[1](False)
    again = [toolcache.take(tmp_path, "key", closing) for _ in range(2)]
    assert again == [first, second]
    assert [folder.exists() for folder in again] == [True, False]
    for give_back in closing[2:]:
        give_back(True)


async def test_cancel_interrupts_the_step_and_always_steps_still_run(world: ActionsWorld) -> None:
    await world.workflow("""
        jobs:
          a:
            steps:
              - run: |
                  trap 'echo interrupted; exit 3' INT
                  touch "$GITHUB_WORKSPACE/../started"
                  while true; do sleep 0.1; done
              - if: always()
                run: echo cleaned
    """)
    number = await world.dispatch()
    work = world.kernel.data_dir / "actions" / "work"
    await eventually(lambda: list(work.glob("*/*/*/started")))
    await world.call("POST", f"{REPO}/actions/runs/{number}/cancel", status=202)
    run = await world.until(number)
    assert run["conclusion"] == "cancelled"
    log = await world.log(number)
    assert "interrupted" in log
    assert "cleaned" in log
    await world.call("POST", f"{REPO}/actions/runs/{number}/cancel", status=409)


async def test_concurrency_queue_runs_one_at_a_time_in_order(world: ActionsWorld) -> None:
    await world.workflow("""
        concurrency: {group: one, cancel-in-progress: false, queue: max}
        jobs: {a: {steps: [{run: 'echo "in ${{ inputs.text }}"; sleep 0.2'}]}}
    """)
    numbers = [await world.dispatch(text=str(n)) for n in range(3)]
    runs = [await world.until(number) for number in numbers]
    assert [run["conclusion"] for run in runs] == ["success"] * 3
    jobs = [(await world.jobs(run))["a"] for run in runs]
    assert jobs[0]["completed_at"] <= jobs[1]["started_at"] <= jobs[2]["started_at"]


async def test_pending_run_of_a_plain_group_is_replaced(world: ActionsWorld) -> None:
    await world.workflow("""
        concurrency: one
        jobs: {a: {steps: [{run: sleep 1}]}}
    """)
    numbers = [await world.dispatch()]
    await world.until(numbers[0], "in_progress")
    numbers += [await world.dispatch() for _ in range(2)]
    found = [(await world.until(number))["conclusion"] for number in numbers]
    assert found == ["success", "cancelled", "success"]


async def test_push_and_pull_request_start_runs_unless_skipped(world: ActionsWorld) -> None:
    await world.workflow("""
        jobs: {a: {steps: [{run: 'echo "$GITHUB_EVENT_NAME $GITHUB_REF $(jq -r .number $GITHUB_EVENT_PATH || true)"'}]}}
    """)
    assert (await world.call("GET", f"{REPO}/actions/runs"))["total_count"] == 0
    await world.commit({"x": "1"}, message="real change")
    await world.commit({"y": "1"}, branch="work")
    await world.call("POST", f"{REPO}/pulls", {"title": "My change", "head": "work", "base": "main"}, status=201)
    listed = await world.call("GET", f"{REPO}/actions/runs?event=pull_request&branch=work")
    assert [run["display_title"] for run in listed["workflow_runs"]] == ["My change"]
    every = (await world.call("GET", f"{REPO}/actions/runs"))["workflow_runs"]
    assert [run["event"] for run in every] == ["pull_request", "push"]
    for run in every:
        assert (await world.until(run["id"]))["conclusion"] == "success"


async def test_dispatch_is_refused_in_githubs_words(world: ActionsWorld) -> None:
    await world.workflow("jobs: {a: {steps: [{run: 'true'}]}}")
    path = f"{REPO}/actions/workflows/ci.yml/dispatches"
    unknown = await world.call("POST", path, {"ref": "main", "inputs": {"z": "1"}}, status=422)
    assert unknown["message"] == 'Unexpected inputs provided: ["z"]'
    assert (await world.call("POST", path, {"ref": "gone"}, status=422))["message"] == "No ref found for: gone"
    await world.call("POST", path.replace("ci.yml", "none.yml"), {"ref": "main"}, status=404)
    await world.call("POST", path, {"ref": "main"}, status=204)
    runs = (await world.call("GET", f"{REPO}/actions/runs?event=workflow_dispatch&created=>=2020-01-01"))[
        "workflow_runs"
    ]
    assert len(runs) == 1
    assert (await world.call("GET", f"{REPO}/actions/runs?created=<2020-01-01"))["total_count"] == 0
    await world.until(runs[0]["id"])


@pytest.mark.long
async def test_interrupted_run_starts_again_from_scratch_and_alone(tmp_path: Path) -> None:
    world = ActionsWorld(tmp_path / "run")
    await world.start()
    await world.create()
    mark = tmp_path / "mark"
    await world.workflow(f"""
        jobs:
          a:
            steps:
              - run: |
                  echo "$$" >> {mark}
                  [ "$(wc -l < {mark})" = 2 ] || sleep 600
    """)
    number = await world.dispatch()
    await eventually(lambda: mark.exists() and mark.read_text())
    process = int(mark.read_text().split()[0])
    await world.stop()
    again = ActionsWorld(tmp_path / "run")
    await again.start()
    run = await again.until(number)
    jobs = await again.jobs(run)
    await again.stop()
    assert run["conclusion"] == "success"
    assert len(jobs) == 1
    assert len(mark.read_text().split()) == 2
    assert not is_alive(process)


async def test_dispatch_starts_within_a_moment(world: ActionsWorld) -> None:
    await world.workflow("jobs: {a: {steps: [{run: 'date +%s.%N'}]}}")
    before = time.time()
    run = await world.finish()
    started = float(re.findall(r"Z (\d+\.\d+)$", await world.log(run["id"]), re.MULTILINE)[0])
    assert started - before < 2
    assert json.dumps(run)
