"""`az` of the local runner: what the Azure CLI does for the two commands that pipelines use, over HTTPS.

https://learn.microsoft.com/azure/container-registry/container-registry-authentication,
https://learn.microsoft.com/cli/azure/staticwebapp/secrets
"""

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

KEY = ["--query", "properties.apiKey", "--output", "tsv"]
USER = "00000000-0000-0000-0000-000000000000"


def main(arguments: list[str]) -> str:
    """Carry one command out; returns what it prints."""
    file = Path.home() / ".azure" / "session.json"
    if not file.exists():
        sys.exit("ERROR: Please run 'az login' to setup account.")
    session = json.loads(file.read_text())
    match arguments:
        case ["acr", "login", "--name" | "-n", name]:
            return _sign_in(f"{name}.azurecr.io", session["access_token"])
        case ["staticwebapp", "secrets", "list", "--name", name, "--resource-group", group, *output] if output == KEY:
            return _deployment_token(session, group, name)
    sys.exit(f"az: this runner has `acr login` and `staticwebapp secrets list` only, not `az {' '.join(arguments)}`")


def _deployment_token(session: dict[str, str], group: str, name: str) -> str:
    place = (
        f"/subscriptions/{session['subscription']}/resourceGroups/{group}/providers/Microsoft.Web/staticSites/{name}"
    )
    url = f"https://management.azure.com{place}/listSecrets?api-version=2024-04-01"
    asked = urllib.request.Request(url, b"{}", {"Authorization": f"Bearer {session['access_token']}"}, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - https
            return str(json.load(answer)["properties"]["apiKey"])
    except urllib.error.HTTPError as error:
        sys.exit(f"ERROR: {error.read().decode(errors='replace')}")


def _sign_in(server: str, token: str) -> str:
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
