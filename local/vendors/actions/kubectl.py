"""`kubectl` of the local runner: `wait --for=condition=complete job/NAME` and `logs job/NAME`, over the cluster's API.

https://kubernetes.io/docs/reference/kubectl/generated/kubectl_wait/
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PAUSE_SECONDS = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(prog="kubectl", description="only what this runner offers")
    parser.add_argument("verb", choices=["wait", "logs"])
    parser.add_argument("resource")
    parser.add_argument("--namespace", "-n", required=True)
    parser.add_argument("--for", dest="condition", choices=["condition=complete"])
    parser.add_argument("--timeout", default="30s")
    options = parser.parse_args()
    kind, _, name = options.resource.partition("/")
    if kind != "job":
        sys.exit(f"kubectl: this runner knows jobs only, not {options.resource}")
    path = f"/apis/batch/v1/namespaces/{options.namespace}/jobs/{name}"
    if options.verb == "logs":
        sys.stdout.write(_get(f"{path}/log").decode())
        return 0
    deadline = time.monotonic() + float(options.timeout.removesuffix("s"))
    while time.monotonic() < deadline:
        if _complete(json.loads(_get(path))):
            sys.stdout.write(f"job.batch/{name} condition met\n")
            return 0
        time.sleep(PAUSE_SECONDS)
    sys.stderr.write(f"error: timed out waiting for the condition on jobs/{name}\n")
    return 1


def _complete(job: dict[str, Any]) -> bool:
    return any(item["type"] == "Complete" for item in job["status"].get("conditions", []))


def _get(path: str) -> bytes:
    context = json.loads(Path(os.environ["KUBECONFIG"]).read_text(encoding="utf-8"))
    request = urllib.request.Request(f"https://{context['server']}{path}")
    request.add_header("Authorization", f"Bearer {context['token']}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - https, by the line above
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        sys.exit(f"Error from server: {error.code} {error.read().decode()[:300]}")


if __name__ == "__main__":
    sys.exit(main())
