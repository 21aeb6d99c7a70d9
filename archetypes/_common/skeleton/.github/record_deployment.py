"""Record at GitHub which image runs in an environment: the App Store promotes what is recorded here and verified.

https://docs.github.com/rest/deployments
"""

import json
import os
import urllib.request
from typing import Any


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Call the API about this repository."""
    place = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}{path}"
    headers = {
        "Authorization": f"Bearer {os.environ['GH_TOKEN']}",
        "Accept": "application/vnd.github+json",
        "Content-Type": "application/json",
    }
    content = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(place, content, headers, method=method)  # noqa: S310 - GitHub's own address
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - GitHub's own address
        return json.load(answer)


def runs_already(environment: str, digest: str) -> bool:
    """Tell whether the newest record says so: recording it again would make it look younger than it is."""
    for found in call("GET", f"/deployments?environment={environment}&per_page=100"):
        payload = found["payload"]
        if not isinstance(payload, dict) or "digest" not in payload:
            continue  # GitHub's own record of a job
        states = call("GET", f"/deployments/{found['id']}/statuses?per_page=1")
        return payload["digest"] == digest and bool(states) and states[0]["state"] == "success"
    return False


def main() -> None:
    """Record one deployment that answers."""
    environment, digest = os.environ["ENVIRONMENT"], os.environ["DIGEST"]
    if runs_already(environment, digest):
        return
    deployment = {
        "ref": os.environ["COMMIT"],
        "environment": environment,
        "payload": {"digest": digest},
        "auto_merge": False,
        "required_contexts": [],
        "production_environment": environment == "prod",
    }
    made = call("POST", "/deployments", deployment)
    place = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}"
    run = f"{place}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    status = {"state": "success", "log_url": run}
    if host := os.environ.get("APP_HOSTNAME"):  # a worker and a job have no address
        status["environment_url"] = f"https://{host}"
    call("POST", f"/deployments/{made['id']}/statuses", status)


if __name__ == "__main__":
    main()
