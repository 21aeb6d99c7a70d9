"""`az` of the local runner: what the Azure CLI does for `az acr login`, over HTTPS, with Docker's store of credentials.

https://learn.microsoft.com/azure/container-registry/container-registry-authentication
"""

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

USER = "00000000-0000-0000-0000-000000000000"


def main(arguments: list[str]) -> str:
    """Sign in to a registry; returns what the command prints."""
    match arguments:
        case ["acr", "login", "--name" | "-n", name]:
            server = f"{name}.azurecr.io"
        case _:
            sys.exit(f"az: this runner has `az acr login --name <registry>` only, not `az {' '.join(arguments)}`")
    session = Path.home() / ".azure" / "session.json"
    if not session.exists():
        sys.exit("ERROR: Please run 'az login' to setup account.")
    token = json.loads(session.read_text())["access_token"]
    form = urllib.parse.urlencode({"grant_type": "access_token", "service": server, "access_token": token})
    try:
        with urllib.request.urlopen(f"https://{server}/oauth2/exchange", form.encode(), timeout=30) as answer:
            refresh = json.load(answer)["refresh_token"]
    except (urllib.error.URLError, KeyError, ValueError) as error:
        sys.exit(f"ERROR: Could not connect to the registry login server '{server}': {error}")
    config = Path.home() / ".docker" / "config.json"
    config.parent.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{USER}:{refresh}".encode()).decode()
    kept = json.loads(config.read_text())["auths"] if config.exists() else {}
    config.write_text(json.dumps({"auths": {**kept, server: {"auth": auth}}}))
    return "Login Succeeded"


if __name__ == "__main__":
    print(main(sys.argv[1:]))  # noqa: T201 - a command's answer
