"""Key Vaults: the vault's own backup of each secret, all versions, restored in a vault of the drill.

Azure backs up no vault by itself: what is proven is that its secrets can be taken out and brought back. The backups and
the values pass through memory only.
"""

from collections import Counter
from datetime import UTC, datetime

from activities._guarded import UnderWayError
from activities._restores.place import ARM, put_place, tags_of
from activities._restores.port import Found, Wish
from activities._restores.sample import named, sample_of
from shared import tagging
from shared.canonical import sha256_hex
from shared.clients import key_vault, vaults
from shared.clients.key_vault import SecretVersion, url_of
from shared.clients.vaults import KeyVault
from shared.credential import own_claims
from shared.errors import NotAuthorizedError
from shared.guard import Permit
from shared.models.backups import DataKind
from shared.models.day2_backups import Check
from shared.models.operations import PlannedAction, PlannedCall
from shared.settings import AppStoreSettings, load

_AT_ONCE = 25  # secrets that are restored before somebody looks whether to go on


class Vaults:
    """Key Vaults with their secrets; what belongs to certificates is left to them."""

    kind = DataKind.VAULT

    async def plan(self, wish: Wish) -> Found:
        """A vault apart for each one, with a sample of its secrets as they are now; see ``Restorable``."""
        found = Found()
        subscription = wish.place.split("/")[2]
        for vault in await vaults.list_vaults(wish.source):
            found.scanned += 1
            try:
                own, others = await _secrets(vault.name)
            except NotAuthorizedError as error:
                found.unreadable.append(f"{vault.name}: {error}")
                continue
            if others:
                found.unreadable.append(f"{vault.name}: secrets of certificates are not drilled: {named(others)}")
            action = await _restore(wish, vault, sample_of(own, wish.environment))
            found.actions.append(action)
            purge = vaults.purge_of(subscription, vault.location, action.target.rpartition("/")[2])
            found.afterwards.append(PlannedCall(method="POST", target=f"{ARM}{purge}"))
        return found

    async def restore(self, action: PlannedAction, permit: Permit) -> str:
        """Make the vault, then restore some secrets at a time; see ``Restorable``."""
        source, target = _urls(action)
        vault = await vaults.find_vault(action.target)
        if vault is None:
            await put_place(action, permit)
            await vaults.put_vault(action.target, action.facts["body"], permit)
        wanted: list[str] = action.facts["names"]
        there = await _there(target)
        missing = [name for name in wanted if name not in there]
        for name in missing[:_AT_ONCE]:
            await key_vault.copy_secret(source, target, name, permit)
        if len(missing) > _AT_ONCE:
            raise UnderWayError(f"{len(missing) - _AT_ONCE} of {len(wanted)} secrets are still to be restored")
        return f"{len(wanted)} secrets are restored"

    async def check(self, action: PlannedAction) -> list[Check]:
        """The same names, versions, times and current values; see ``Restorable``.

        What was changed at the source since the survey may be in the copy or not.
        """
        name = action.target.rpartition("/")[2]
        vault = await vaults.find_vault(action.target)
        if vault is None:
            return [Check(name=f"{name}: exists", passed=False, detail="the vault is not there")]
        state, wanted = vault.properties.provisioning_state, list[str](action.facts["names"])
        target = _urls(action)[1]
        missing = sorted(set(wanted) - await _there(target))
        lists = {"versions": list[str](), "attributes": list[str](), "values": list[str]()}
        for secret in wanted:
            if secret not in missing:
                for what in await _differences(action, secret):
                    lists[what].append(secret)
        return [
            Check(name=f"{name}: ready", passed=state == "Succeeded", detail=state),
            Check(name=f"{name}: secrets", passed=not missing, detail=named(missing) or f"{len(wanted)} of them"),
            *(Check(name=f"{name}: {what}", passed=not wrong, detail=named(wrong)) for what, wrong in lists.items()),
        ]


async def _secrets(vault: str) -> tuple[list[str], list[str]]:
    """Names of a vault's secrets, and of those that belong to certificates."""
    own, others = list[str](), list[str]()
    async for secret in key_vault.list_secrets(url_of(vault)):
        (others if secret.managed else own).append(_name_of(secret))
    return sorted(own), sorted(others)


def _name_of(secret: SecretVersion) -> str:
    return secret.id.rpartition("/secrets/")[2].partition("/")[0]


async def _there(target: str) -> set[str]:
    """Names of what is in the vault apart.

    Raises:
        UnderWayError: its access policy does not work yet.
    """
    try:
        return {_name_of(secret) async for secret in key_vault.list_secrets(target)}
    except NotAuthorizedError as error:
        raise UnderWayError(f"the vault of the drill lets nobody in yet ({error})") from error


async def _differences(action: PlannedAction, secret: str) -> list[str]:
    """What of a restored secret is not as its source was when the survey looked."""
    (source, target), surveyed = _urls(action), float(action.facts["surveyed"])
    had = [one async for one in key_vault.list_versions(source, secret)]
    has = [one async for one in key_vault.list_versions(target, secret)]
    kept = [one for one in had if one.attributes.created < surveyed]
    found = []
    if not len(kept) <= len(has) <= len(had):
        found.append("versions")
    if _times(kept) - _times(has):
        found.append("attributes")
    if all(one.attributes.enabled for one in [*_newest(had), *_newest(has)]):  # others show their values to nobody
        before = [one.version for one in _newest(kept)] if len(kept) < len(had) else []
        if not await key_vault.has_value_of(target, secret, source, ["", *before]):
            found.append("values")
    return found


def _newest(versions: list[SecretVersion]) -> list[SecretVersion]:
    """The current version; more than one only if they were made within one second."""
    latest = max((one.attributes.created for one in versions), default=0)
    return [one for one in versions if one.attributes.created == latest]


def _times(versions: list[SecretVersion]) -> Counter[tuple[bool, int | None]]:
    return Counter((one.attributes.enabled, one.attributes.exp) for one in versions)


def _urls(action: PlannedAction) -> tuple[str, str]:
    """Addresses of the source and of the vault apart."""
    return url_of(action.facts["source"].rpartition("/")[2]), url_of(action.target.rpartition("/")[2])


async def _restore(wish: Wish, vault: KeyVault, names: list[str]) -> PlannedAction:
    name = f"kv-{sha256_hex(vault.id.lower().encode())[:6]}-{wish.record.id.removeprefix('op-')}"
    target = f"{wish.place}/providers/Microsoft.KeyVault/vaults/{name}"
    reader = (await own_claims("https://vault.azure.net/.default"))["oid"]
    tags = tags_of(wish.record, wish.environment)
    body = vaults.vault_apart(vault, reader, tags, load(AppStoreSettings).drill_subnet)
    restores = [PlannedCall(method="POST", target=f"{url_of(name)}/secrets/restore", body={}) for _ in names]
    return PlannedAction(
        key=vault.id.lower(),
        rule=wish.record.operation,
        kind=DataKind.VAULT,
        target=target,
        environment=wish.environment,
        owned_by=tagging.owner_of(vault.tags),
        summary=f"restore {len(names)} secrets of {vault.name} as they are now",
        calls=[PlannedCall(method="PUT", target=f"{ARM}{target}", body=body), *restores],
        facts={
            "group": wish.place,
            "location": vault.location,
            "body": body,
            "source": vault.id,
            "names": names,
            "surveyed": datetime.now(UTC).timestamp(),
        },
    )
