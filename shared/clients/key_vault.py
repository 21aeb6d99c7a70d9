"""Azure Key Vault, data plane."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress

from pydantic import ConfigDict, Field

from shared.clients._http import Call, Vendor, azure_headers
from shared.errors import ConflictError
from shared.guard import Permit
from shared.models import Model

_VERSION = "2026-04-01"


class _Secret(Model):
    id: str
    value: str


class Attributes(Model):
    """Times of a version, in Unix seconds."""

    enabled: bool = True
    created: int
    exp: int | None = None


class SecretVersion(Model):
    """The current version of a secret, without its value."""

    id: str
    attributes: Attributes
    tags: dict[str, str] = {}
    content_type: str | None = None
    managed: bool = False  # it belongs to a certificate

    @property
    def version(self) -> str:
        """Its name among the versions."""
        return self.id.rpartition("/")[2]


class _Taken(Model):
    """A secret's backup: opaque, and in no text that is made of it."""

    model_config = ConfigDict(**{**Model.model_config, "hide_input_in_errors": True})

    value: str = Field(repr=False)


class _Page(Model):
    value: list[SecretVersion] = []
    next_link: str | None = None


class PublishedSecret(SecretVersion):
    """The current version of a secret with its value, which appears in no text that is made of it."""

    value: str = Field(repr=False)


async def _authorise() -> dict[str, str]:
    return await azure_headers("https://vault.azure.net/.default")


def _vendor(vault_url: str) -> Vendor:
    return Vendor("key vault", vault_url.rstrip("/"), _authorise, traced=True)


def url_of(vault: str) -> str:
    """Address of a vault by its name."""
    return f"https://{vault.lower()}.vault.azure.net"


async def read_secret(vault_url: str, name: str) -> str:
    """Current value of a secret.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret

    Raises:
        NotAuthorizedError: our identity may not read it.
        NotFoundError: there is no such secret.
        TransientIntegrationError: the vault does not answer, or not with a secret.
    """
    return (await _vendor(vault_url).read(_get(name), _Secret)).value


async def read_version(vault_url: str, name: str) -> SecretVersion:
    """Current version of a secret: its tags and times; the value is dropped. Raises as ``read_secret``."""
    return await _vendor(vault_url).read(_get(name), SecretVersion)


async def read_published(vault_url: str, name: str) -> PublishedSecret:
    """Current version of a secret, value and tags in one answer, so that they fit. Raises as ``read_secret``."""
    return await _vendor(vault_url).read(_get(name), PublishedSecret)


def _get(name: str) -> Call:
    return Call("read version", "GET", f"/secrets/{name}/", params={"api-version": _VERSION})


def list_secrets(vault_url: str) -> AsyncIterator[SecretVersion]:
    """Every secret: times and tags of its current version, whose name is not told; no values.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets

    Raises:
        NotAuthorizedError: our identity may not list them.
        TransientIntegrationError: the vault does not answer, or not with a list.
    """
    return _listed(vault_url, Call("list secrets", "GET", "/secrets", params={"api-version": _VERSION}))


def list_versions(vault_url: str, name: str) -> AsyncIterator[SecretVersion]:
    """Every version of a secret in no certain order; no values. Raises as ``list_secrets``.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret-versions/get-secret-versions
    """
    call = Call("list versions", "GET", f"/secrets/{name}/versions", params={"api-version": _VERSION})
    return _listed(vault_url, call)


async def _listed(vault_url: str, call: Call) -> AsyncIterator[SecretVersion]:
    async for page in _vendor(vault_url).pages(call, _Page):
        for secret in page.value:
            yield secret


async def add_version(
    vault_url: str, name: str, value: str, permit: Permit, *, tags: Mapping[str, str], expires: int
) -> None:
    """Publish a new version. Each call adds one, also with the same value: look for your own tag before a repeat.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/secrets/set-secret
    """
    body = {"value": value, "tags": dict(tags), "contentType": permit.action.kind, "attributes": {"exp": expires}}
    call = Call("add version", "PUT", f"/secrets/{name}", body, params={"api-version": _VERSION}, once=True)
    await _vendor(vault_url).call(call)


async def copy_secret(source_url: str, target_url: str, name: str, permit: Permit) -> None:
    """Take a secret's own backup, all versions, and restore it in another vault. One that is there already stays.

    The other vault has to be in the same subscription and geography. The backup goes nowhere else.

    Documentation: https://learn.microsoft.com/rest/api/keyvault/secrets/backup-secret and
    https://learn.microsoft.com/rest/api/keyvault/secrets/restore-secret
    """
    version = {"api-version": _VERSION}
    taken = await _vendor(source_url).read(
        Call("back up secret", "POST", f"/secrets/{name}/backup", params=version), _Taken
    )
    body = {"value": taken.value}
    with suppress(ConflictError):
        await _vendor(target_url).call(
            Call(f"restore {permit.action.kind}", "POST", "/secrets/restore", body, params=version)
        )


async def has_value_of(vault_url: str, name: str, other_url: str, versions: Iterable[str]) -> bool:
    """Whether a secret's current value is that of one of these versions in another vault; empty: the current one.

    Digests are compared, and neither they nor the values leave this function.
    """
    mine = hashlib.sha256((await read_secret(vault_url, name)).encode()).digest()
    for version in versions:
        call = Call("read version", "GET", f"/secrets/{name}/{version}", params={"api-version": _VERSION})
        other = await _vendor(other_url).read(call, _Secret)
        if hmac.compare_digest(mine, hashlib.sha256(other.value.encode()).digest()):
            return True
    return False
