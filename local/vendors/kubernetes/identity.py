"""Workload identity: what the webhook of AKS adds to pods that ask for it, and the keys by which Entra ID checks it.

https://learn.microsoft.com/azure/aks/workload-identity-overview
"""

import time
from pathlib import Path
from typing import Any

from local.vendors.kernel.signing import SigningKey

AUDIENCE = "api://AzureADTokenExchange"
ASKS = "azure.workload.identity/use"
CLIENT_ID = "azure.workload.identity/client-id"
TENANT = "11111111-1111-1111-1111-111111111111"
# The kubelet writes a new one before an hour is over; here nobody does.
LIFETIME_SECONDS = 24 * 3600


def variables(
    key: SigningKey, issuer: str, account: dict[str, Any], template: dict[str, Any], folder: Path
) -> dict[str, str]:
    """What a pod gets: a token of its service account in a file, and where to exchange it."""
    if template["metadata"].get("labels", {}).get(ASKS) != "true":
        return {}
    subject = f"system:serviceaccount:{account['metadata']['namespace']}:{account['metadata']['name']}"
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + LIFETIME_SECONDS}
    token = key.sign({"iss": issuer, "sub": subject, "aud": AUDIENCE, **times})
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "azure-identity-token"
    file.write_text(token, encoding="ascii")
    return {
        "AZURE_CLIENT_ID": account["metadata"].get("annotations", {}).get(CLIENT_ID, ""),
        "AZURE_TENANT_ID": TENANT,
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
    }
