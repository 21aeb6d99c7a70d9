"""`make drift APP=<name>`: let the infrastructure repository's own pipeline compare an application with its code.

Runs the workflow `iac.yml` with the action `drift` for every environment and prints what it found. Signs in as the App
Store does: managed identity -> Key Vault -> GitHub App.
"""

import argparse
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import jwt

from local.processes import LocalRunError
from local.run.api import Persona
from local.run.terminal import Terminal
from local.stack import CHECKOUT, Stack, app_settings, running_stack

GITHUB = "https://api.github.com"
SECONDS = 180


@dataclass(frozen=True)
class Pipeline:
    """The infrastructure repository's workflow, over GitHub's REST API."""

    stack: Stack
    settings: dict[str, str]
    headers: dict[str, str]

    @property
    def repository(self) -> str:
        return f"{GITHUB}/repos/{self.settings['GITHUB_OWNER']}/{self.settings['GITHUB_INFRASTRUCTURE_REPOSITORY']}"

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
        token = identity_token(self.stack, self.settings, "https://storage.azure.com/")
        headers = {"Authorization": f"Bearer {token}", "x-ms-version": "2024-11-04"}
        account = self.settings["TERRAFORM_STATE_ACCOUNT"]
        answer = self.stack.vendors.get(f"https://{account}.blob.core.windows.net/plans/{name}", headers=headers)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document


def identity_token(stack: Stack, settings: dict[str, str], resource: str) -> str:
    """Return a token of the App Store's managed identity (App Service endpoint, 2019-08-01)."""
    answer = httpx.get(
        f"{stack.proxy_url}/msi/token",
        params={"resource": resource, "api-version": "2019-08-01", "client_id": settings["AZURE_CLIENT_ID"]},
        headers={"X-IDENTITY-HEADER": settings["IDENTITY_HEADER"]},
        trust_env=False,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def sign_in(stack: Stack) -> Pipeline:
    """Sign in as the GitHub App."""
    settings = app_settings(CHECKOUT)
    vault = identity_token(stack, settings, "https://vault.azure.net")
    secret = stack.vendors.get(
        f"{settings['GITHUB_KEY_VAULT']}/secrets/{settings['GITHUB_KEY_SECRET']}?api-version=7.4",
        headers={"Authorization": f"Bearer {vault}"},
    )
    secret.raise_for_status()
    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + 300, "iss": settings["GITHUB_APP_ID"]}
    assertion = jwt.encode(claims, secret.json()["value"], "RS256")
    answer = stack.vendors.post(
        f"{GITHUB}/app/installations/{settings['GITHUB_INSTALLATION_ID']}/access_tokens",
        headers={"Authorization": f"Bearer {assertion}"},
    )
    answer.raise_for_status()
    return Pipeline(stack, settings, {"Authorization": f"Bearer {answer.json()['token']}"})


def report(stack: Stack, terminal: Terminal, application: str) -> bool:
    """Compare every environment; return whether nothing has drifted."""
    known = Persona(stack, "operator").get(f"/applications/{application}")
    if not known.ok:
        raise LocalRunError(f"The application {application} is not known: {known.problem}")
    pipeline, clean = sign_in(stack), True
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
