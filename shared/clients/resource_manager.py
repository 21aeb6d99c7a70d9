"""Azure Resource Manager: the few objects that Terraform does not own.

Documentation: https://learn.microsoft.com/rest/api/aks/managed-namespaces and
https://learn.microsoft.com/rest/api/managedidentity/federated-identity-credentials
"""

import asyncio
from typing import Any

from shared.clients._arm import NAME, arm
from shared.clients._http import Answer, Call
from shared.errors import PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model

_AKS = "2026-08-01"
_IDENTITY = "2024-11-30"
_GROUPS = "2025-04-01"
_POLLS = 60


_ARM = arm()


async def read_namespace(cluster: str, name: str) -> dict[str, Any] | None:
    """An AKS managed namespace, or None."""
    return await _get("get managed namespace", f"{cluster}/managedNamespaces/{name}", _AKS)


async def put_namespace(cluster: str, name: str, body: dict[str, Any]) -> None:
    """Create a managed namespace and wait for it."""
    await _put("create managed namespace", f"{cluster}/managedNamespaces/{name}", _AKS, body)


async def delete_namespace(cluster: str, name: str, permit: Permit) -> None:
    """Delete a managed namespace; absent is success."""
    await _delete(f"{cluster}/managedNamespaces/{name}", _AKS, permit)


async def put_federated_credential(identity: str, name: str, *, issuer: str, subject: str) -> None:
    """Let a GitHub environment act as the identity. ``identity`` is its ARM id."""
    properties = {"issuer": issuer, "subject": subject, "audiences": ["api://AzureADTokenExchange"]}
    path = f"{identity}/federatedIdentityCredentials/{name}"
    await _put("create federated credential", path, _IDENTITY, {"properties": properties})


async def read_federated_credential(identity: str, name: str) -> dict[str, Any] | None:
    """A federated credential, or None."""
    return await _get("get federated credential", f"{identity}/federatedIdentityCredentials/{name}", _IDENTITY)


async def delete_federated_credential(identity: str, name: str, permit: Permit) -> None:
    """Delete a federated credential; absent is success."""
    await _delete(f"{identity}/federatedIdentityCredentials/{name}", _IDENTITY, permit)


async def read_token_issuer(cluster: str) -> str:
    """Issuer of the service account tokens of an AKS cluster.

    Raises:
        PermanentIntegrationError: the cluster is not there, or has no OIDC issuer.
    """
    document = await _get("get managed cluster", cluster, _AKS) or {}
    profile = (document.get("properties") or {}).get("oidcIssuerProfile") or {}
    if not profile.get("issuerURL"):
        raise PermanentIntegrationError(VendorCall(NAME, "get managed cluster"), f"{cluster} has no OIDC issuer")
    return str(profile["issuerURL"])


async def read_resource_group(subscription: str, name: str) -> dict[str, Any] | None:
    """A resource group, or None."""
    return await _get("get resource group", f"/subscriptions/{subscription}/resourceGroups/{name}", _GROUPS)


async def list_deleted_vaults(subscription: str) -> list[str]:
    """Names of soft-deleted Key Vaults: Azure keeps them for their retention."""
    path = f"/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedVaults"
    call = Call("list deleted vaults", "GET", path, params={"api-version": "2026-05-15"})

    class Vault(Model):
        name: str

    class Listing(Model):
        value: list[Vault]

    return [vault.name for vault in (await _ARM.read(call, Listing)).value]


async def _get(operation: str, path: str, version: str) -> dict[str, Any] | None:
    call = Call(operation, "GET", path, params={"api-version": version}, expect=(200, 404))
    answer = await _ARM.call(call)
    if answer.status == 404:  # noqa: PLR2004 - HTTP status
        return None
    document = _ARM.shaped(call, answer, dict[str, Any])
    _require_id(operation, path, document)
    return document


async def _put(operation: str, path: str, version: str, body: dict[str, Any]) -> None:
    call = Call(operation, "PUT", path, body, params={"api-version": version}, expect=(200, 201, 202))
    answer = await _ARM.call(call)
    if answer.status != 202:  # noqa: PLR2004 - HTTP status
        _require_id(operation, path, _ARM.shaped(call, answer, dict[str, Any]))
    await _finish(operation, path, version, answer)


async def _delete(path: str, version: str, permit: Permit) -> None:
    operation = f"delete {permit.action.kind}"
    call = Call(operation, "DELETE", path, params={"api-version": version}, expect=(200, 202, 204, 404))
    answer = await _ARM.call(call)
    if answer.body is not None and answer.status in (200, 202):  # usually empty, at most what is deleted
        _require_id(operation, path, _ARM.shaped(call, answer, dict[str, Any]))
    for _ in range(_POLLS):
        if answer.status in (204, 404) or await _get(operation, path, version) is None:
            return
        await asyncio.sleep(_interval(answer))
    raise TransientIntegrationError(VendorCall(NAME, operation, 202), f"{path} is still being deleted")


async def _finish(operation: str, path: str, version: str, answer: Answer) -> None:
    """Wait for a long-running operation by the object's own provisioning state, which never expires."""
    for _ in range(_POLLS):
        document = await _get(operation, path, version)
        state = str(((document or {}).get("properties") or {}).get("provisioningState", "Succeeded"))
        if document and state == "Succeeded":
            return
        if state in ("Failed", "Canceled"):
            raise PermanentIntegrationError(VendorCall(NAME, operation), f"{path} ended as {state}")
        await asyncio.sleep(_interval(answer))
    raise TransientIntegrationError(VendorCall(NAME, operation), f"{path} is still being created")


def _interval(answer: Answer) -> float:
    value = answer.headers.get("retry-after", "")
    return min(float(value), 15.0) if value.isdigit() else 1.0


def _require_id(operation: str, path: str, document: dict[str, Any]) -> None:
    if str(document.get("id", "")).lower() != path.lower():
        raise TransientIntegrationError(VendorCall(NAME, operation, 200), f"the answer is not {path}")
