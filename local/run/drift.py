"""`make drift APP=<name>`: let the infrastructure repository's own pipeline compare an application with its code.

Runs the workflow `iac.yml` with the action `drift` for every environment and prints what it found.
"""

import argparse
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from local.processes import LocalRunError
from local.run.api import Persona
from local.run.terminal import Terminal
from local.sign_in import GITHUB, github_headers, identity_token
from local.stack import Stack, running_stack

SECONDS = 180


@dataclass(frozen=True)
class Pipeline:
    """The infrastructure repository's workflow, over GitHub's REST API."""

    stack: Stack
    headers: dict[str, str]

    @property
    def repository(self) -> str:
        settings = self.stack.settings
        return f"{GITHUB}/repos/{settings['GITHUB_OWNER']}/{settings['GITHUB_INFRASTRUCTURE_REPOSITORY']}"

    def call(self, method: str, url: str, body: object = None) -> Any:
        response = self.stack.vendors.request(method, url, json=body, headers=self.headers)
        response.raise_for_status()
        return response.json() if response.content else None

    def drift(self, application: str, environment: str) -> dict[str, Any]:
        """Run the comparison of one environment to its end and return what the pipeline wrote."""
        run_id = f"drift-{uuid.uuid4().hex[:12]}"
        inputs = {
            "run_id": run_id,
            "action": "drift",
            "application": application,
            "environment": environment,
            "commit": self.call("GET", f"{self.repository}/git/ref/heads/main")["object"]["sha"],
            "state_key": f"apps/{application}/{environment}.tfstate",
        }
        self.call("POST", f"{self.repository}/actions/workflows/iac.yml/dispatches", {"ref": "main", "inputs": inputs})
        run = self._ended(run_id)
        if run["conclusion"] != "success":
            raise LocalRunError(f"the drift run of {environment} ended with {run['conclusion']}: {run['html_url']}")
        return self._blob(f"{run_id}/changeset.json")

    def _ended(self, run_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            runs = self.call("GET", f"{self.repository}/actions/workflows/iac.yml/runs?event=workflow_dispatch")
            for run in runs["workflow_runs"]:
                if run_id in str(run.get("display_title") or run["name"]) and run["status"] == "completed":
                    return dict(run)
            time.sleep(0.2)
        raise LocalRunError(f"the drift run {run_id} did not end within {SECONDS} s")

    def _blob(self, name: str) -> dict[str, Any]:
        token = identity_token(self.stack, "https://storage.azure.com/")
        headers = {"Authorization": f"Bearer {token}", "x-ms-version": "2024-11-04"}
        account = self.stack.settings["TERRAFORM_STATE_ACCOUNT"]
        answer = self.stack.vendors.get(f"https://{account}.blob.core.windows.net/plans/{name}", headers=headers)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document


def report(stack: Stack, terminal: Terminal, application: str) -> bool:
    """Compare every environment; return whether nothing has drifted."""
    known = Persona(stack, "operator").get(f"/applications/{application}")
    if not known.ok:
        raise LocalRunError(f"The application {application} is not known: {known.problem}")
    pipeline, clean = Pipeline(stack, github_headers(stack)), True
    for environment in known.body["environments"]:
        found = pipeline.drift(application, str(environment))
        changes = [*found.get("drift", []), *(row for row in found["changes"] if row["action"] != "noop")]
        clean = clean and not changes
        terminal.event(f"drift {environment}", "", "none" if not changes else f"{len(changes)} differences")
        for change in changes:
            terminal.fact("", f"       {change['action']:<8} {change['address']}")
    return clean


def main() -> int:
    """0 when nothing has drifted, 1 when something has."""
    parser = argparse.ArgumentParser(prog="make drift", description=__doc__)
    parser.add_argument("--application", required=True)
    application = parser.parse_args().application
    if not application:
        sys.stderr.write("Name the application: make drift APP=payments-api\n")
        return 2
    try:
        with running_stack() as stack:
            return 0 if report(stack, Terminal(), application) else 1
    except (LocalRunError, httpx.HTTPError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
