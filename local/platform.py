"""What the platform team set up before the App Store: the pipeline's identities, variables and blob containers.

Made over the vendors' own APIs, once per local run. Pipelines have no stored secret: Entra ID trusts the
tokens of the infrastructure repository's environments. The secrets here are those that ServiceNow, Teams and Slack give
their clients.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from local.sign_in import GITHUB, github_headers, identity_token

if TYPE_CHECKING:
    from local.stack import Stack

SUBSCRIPTION = "20000000-0000-0000-0000-000000000001"
IDENTITIES = (
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-appstore"
    "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
)
API_VERSION = "api-version=2023-01-31"
ISSUER = "https://token.actions.githubusercontent.com"
PURPOSES = ("plan", "apply")
STAGES = ("dev", "qa", "prod")
# What the stand-ins of these systems know: an OAuth client's secret, a webhook's URL with its signature, a bot's token.
WEBHOOK = "/powerautomate/automations/direct/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke"
SECRETS = {
    "servicenow-client-secret": "servicenow-secret",
    "teams-webhook-url": "https://default11111111.a1.environment.api.powerplatform.com:443"
    f"{WEBHOOK}?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=teams-webhook-signature",
    "slack-bot-token": "xoxb-appstore",
}
CONTAINERS = ("tfstate", "plans")
APP_STORE = "https://appstore.contoso.com"  # as rules/landing_zones.yaml names it
# What the subscriptions ask for is what rules/events.yaml knows: other kinds would only be recorded as ignored.
SUBSCRIPTIONS = {
    "appstore-key-vault": (
        "take_key_vault_event",
        ("Microsoft.KeyVault.SecretNearExpiry", "Microsoft.KeyVault.SecretExpired"),
    ),
}


@dataclass(frozen=True)
class Platform:
    """Signed in once, converges on every start."""

    stack: "Stack"
    github: dict[str, str]
    azure: dict[str, str]
    storage: dict[str, str]
    vault: dict[str, str]

    @property
    def repository(self) -> str:
        settings = self.stack.settings
        return f"{GITHUB}/repos/{settings['GITHUB_OWNER']}/{settings['GITHUB_INFRASTRUCTURE_REPOSITORY']}"

    def ensure(self) -> None:
        """Make what is missing; the last thing made tells that all is there."""
        self.stack.vendors_admin("POST", "seed", {"automation": _runbooks()})
        for name, value in SECRETS.items():
            self._secret(name, value)
        if self._has_variable("IAC_STATE_ACCOUNT"):
            return
        for container in CONTAINERS:
            self._container(container)
        prefix = self._call("GET", f"{self.repository}/actions/oidc/customization/sub", self.github)["sub_claim_prefix"]
        for purpose in PURPOSES:
            identity = self._identity(f"id-iac-{purpose}")
            for stage in STAGES:
                self._environment(identity, f"iac-{purpose}-{stage}", prefix)
        self._variable("", "ARM_TENANT_ID", self.stack.settings["ENTRA_TENANT_ID"])
        self._variable("", "IAC_STATE_ACCOUNT", self.stack.settings["TERRAFORM_STATE_ACCOUNT"])

    def _secret(self, name: str, value: str) -> None:
        url = f"{self.stack.settings['SERVICENOW_KEY_VAULT']}/secrets/{name}?api-version=7.4"
        if self.stack.vendors.get(url, headers=self.vault).status_code != httpx.codes.OK:
            self._call("PUT", url, self.vault, {"value": value})

    def _identity(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = self._call(
            "PUT", f"{IDENTITIES}/{name}?{API_VERSION}", self.azure, {"location": "westeurope"}
        )
        return document

    def _environment(self, identity: dict[str, Any], name: str, prefix: str) -> None:
        trust = {
            "issuer": ISSUER,
            "subject": f"{prefix}:environment:{name}",
            "audiences": ["api://AzureADTokenExchange"],
        }
        url = f"{IDENTITIES}/{identity['name']}/federatedIdentityCredentials/{name}?{API_VERSION}"
        self._call("PUT", url, self.azure, {"properties": trust})
        self._call("PUT", f"{self.repository}/environments/{name}", self.github, {})
        self._variable(f"/environments/{name}", "ARM_CLIENT_ID", identity["properties"]["clientId"])

    def _has_variable(self, name: str) -> bool:
        url = f"{self.repository}/actions/variables/{name}"
        return self.stack.vendors.get(url, headers=self.github).status_code == httpx.codes.OK

    def _variable(self, scope: str, name: str, value: str) -> None:
        url = f"{self.repository}{scope or '/actions'}/variables"
        answer = self.stack.vendors.post(url, json={"name": name, "value": value}, headers=self.github)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()

    def _container(self, name: str) -> None:
        account = self.stack.settings["TERRAFORM_STATE_ACCOUNT"]
        url = f"https://{account}.blob.core.windows.net/{name}?restype=container"
        answer = self.stack.vendors.put(url, headers=self.storage)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()

    def _call(self, method: str, url: str, headers: dict[str, str], body: object = None) -> Any:
        response = self.stack.vendors.request(method, url, json=body, headers=headers)
        response.raise_for_status()
        return response.json()


def _runbooks() -> dict[str, str]:
    """What the Terraform of infra/automation publishes."""
    files = sorted((Path(__file__).parents[1] / "infra" / "automation" / "runbooks").glob("[a-z]*.py"))
    return {f"runbook/{file.stem.replace('_', '-')}": file.read_text(encoding="utf-8") for file in files}


def ensure_platform(stack: "Stack") -> None:
    """Make what the platform team provides, unless it is there."""
    storage = {"Authorization": f"Bearer {identity_token(stack, 'https://storage.azure.com/')}"}
    azure = {"Authorization": f"Bearer {identity_token(stack, 'https://management.azure.com/')}"}
    vault = {"Authorization": f"Bearer {identity_token(stack, 'https://vault.azure.net')}"}
    Platform(stack, github_headers(stack), azure, storage | {"x-ms-version": "2024-11-04"}, vault).ensure()


def subscribe(stack: "Stack") -> None:
    """Lead events of system topics and alerts to the host, wherever it listens this time."""
    keys = json.loads((stack.directory / "host" / "keys.json").read_text(encoding="utf-8"))
    hook = f"{stack.host_url}/runtime/webhooks/eventgrid"
    wanted = {
        f"subscription/{name}": {"endpoint": f"{hook}?functionName={function}&code={keys['system']}", "kinds": kinds}
        for name, (function, kinds) in SUBSCRIPTIONS.items()
    }
    addresses = {"settings/addresses": {APP_STORE: stack.host_url}}
    stack.vendors_admin("POST", "seed", {"event_grid": wanted, "monitor_alerts": addresses})
