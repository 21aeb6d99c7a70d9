"""Storage accounts: a sample of blobs as they were at the moment, copied by the service itself to an account apart.

Azure's own restore to a point in time writes over what is there; what it goes by are the versions that are proven here.
"""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from urllib.parse import quote

from activities._guarded import UnderWayError
from activities._restores.place import ARM, put_place, tags_of, text_of
from activities._restores.port import Found, Wish
from activities._restores.sample import named, sample_of
from shared import tagging
from shared.backup_rules import backup_rule
from shared.canonical import sha256_hex
from shared.clients import blob_versions, storage_accounts
from shared.clients.blob_versions import BlobVersion
from shared.clients.storage_accounts import Account
from shared.errors import NotAuthorizedError
from shared.guard import Permit
from shared.models.backups import DataKind
from shared.models.day2_backups import Check
from shared.models.operations import PlannedAction, PlannedCall
from shared.settings import AppStoreSettings, load

_CONTAINER = "drill-restore"  # in the account apart; the role of infra/app/drills.bicep is for it alone
_AT_ONCE = 25  # blobs that are copied before somebody looks whether to go on
_MOST = 50  # blobs of a drill, whatever the rules say: they are written into the action's row
_HELD = 1000  # blobs in memory while a list goes by
_LONGEST = 200  # characters of a name in a URL, for the same reason
_LARGEST = 256 * 1024 * 1024  # bytes that are copied within one call

type _Blob = tuple[str, str, str, int, str, bool]  # container, name, version, length, digest, whether it can be read


class Storage:
    """Storage accounts with their blobs."""

    kind = DataKind.STORAGE

    async def plan(self, wish: Wish) -> Found:
        """An account apart for each one, with a sample of its blobs as they were; see ``Restorable``."""
        found = Found()
        for account in await storage_accounts.list_accounts(wish.source):
            found.scanned += 1
            try:
                blobs = await _chosen(account, wish)
            except NotAuthorizedError as error:
                found.unreadable.append(f"{account.name}: {error}")
                continue
            found.actions.append(_restore(wish, account, blobs))
        return found

    async def restore(self, action: PlannedAction, permit: Permit) -> str:
        """Make the account, then copy some blobs at a time; see ``Restorable``."""
        source, target = _names(action)
        account = await storage_accounts.find_account(action.target)
        if account is None:
            await put_place(action, permit)
            await storage_accounts.put_account(action.target, action.facts["body"], permit)
            account = await storage_accounts.find_account(action.target)
        if account is None or account.properties.provisioning_state != "Succeeded":
            raise UnderWayError(f"{target} is not ready yet")
        if _CONTAINER not in await storage_accounts.list_containers(action.target):
            await storage_accounts.put_container(action.target, _CONTAINER, permit)
        there = await _there(target)
        missing = [blob for blob in _blobs(action) if blob[5] and _copy_of(blob) not in there]
        for container, name, made, _length, md5, _readable in missing[:_AT_ONCE]:
            url = blob_versions.address_of(source, container, name)
            await blob_versions.copy_version(url, made, md5, (target, _CONTAINER, f"{container}/{name}"), permit)
        if len(missing) > _AT_ONCE:
            raise UnderWayError(f"{len(missing) - _AT_ONCE} blobs are still to be copied")
        return f"{len(_blobs(action))} blobs are restored"

    async def check(self, action: PlannedAction) -> list[Check]:
        """Every blob, as long and with the same digest, and its account protected as demanded; see ``Restorable``."""
        target = _names(action)[1]
        account = await storage_accounts.find_account(action.target)
        if account is None:
            return [Check(name=f"{target}: exists", passed=False, detail="the account is not there")]
        state, there = account.properties.provisioning_state, await _there(target)
        wanted = _blobs(action)
        readable = [blob for blob in wanted if blob[5]]
        lost = [_copy_of(blob) for blob in wanted if not blob[5]]
        missing = [_copy_of(blob) for blob in readable if _copy_of(blob) not in there]
        here = [(blob, there[_copy_of(blob)]) for blob in readable if _copy_of(blob) in there]
        shorter = [_copy_of(blob) for blob, copy in here if blob[3] != copy.length]
        other = [_copy_of(blob) for blob, copy in here if blob[4] and blob[4] != copy.md5]
        unproven = sum(not blob[4] for blob in readable)
        content = named(other) or (f"{unproven} have no digest to compare" if unproven else "")
        gaps = await _gaps(action)
        return [
            Check(name=f"{target}: ready", passed=state == "Succeeded", detail=state),
            Check(name=f"{target}: versions", passed=not lost, detail=named(lost) or f"{len(readable)} can be read"),
            Check(name=f"{target}: blobs", passed=not missing, detail=named(missing)),
            Check(name=f"{target}: length", passed=not shorter, detail=named(shorter)),
            Check(name=f"{target}: content", passed=not other, detail=content),
            Check(name=f"{target}: protection", passed=not gaps, detail="; ".join(gaps)),
        ]


async def _chosen(account: Account, wish: Wish) -> list[_Blob]:
    """The sample of an account's blobs, each as it was at the moment; of all others nothing is kept."""
    found: dict[str, _Blob] = {}
    for container in await storage_accounts.list_containers(account.id):
        async for version in as_they_were(blob_versions.list_versions(account.name, container), wish.moment):
            if not version.whole or version.length > _LARGEST or len(quote(version.name)) > _LONGEST:
                continue
            found[f"{container}/{version.name}"] = _blob(container, version)
            if len(found) >= _HELD:
                found = _sampled(found, wish)
    return list(_sampled(found, wish).values())


def _sampled(found: dict[str, _Blob], wish: Wish) -> dict[str, _Blob]:
    return {name: found[name] for name in sample_of(found, wish.environment, _MOST)}


async def as_they_were(versions: AsyncIterator[BlobVersion], moment: datetime) -> AsyncIterator[BlobVersion]:
    """Of each blob the newest version that was made by then, unless it had been removed by then."""
    newest: BlobVersion | None = None
    async for version in versions:
        if newest and version.name != newest.name:
            yield newest
            newest = None
        made = datetime.fromisoformat(version.made) if version.made else moment
        if made <= moment:
            newest = None if version.removed and version.removed <= moment else version
    if newest:
        yield newest


def _blob(container: str, version: BlobVersion) -> _Blob:
    return container, version.name, version.made, version.length, version.md5, version.removed is None


def _blobs(action: PlannedAction) -> list[_Blob]:
    rows: Iterable[list[object]] = action.facts["blobs"]
    return [(str(r[0]), str(r[1]), str(r[2]), int(str(r[3])), str(r[4]), bool(r[5])) for r in rows]


def _copy_of(blob: _Blob) -> str:
    """Name of a blob's copy."""
    return f"{blob[0]}/{blob[1]}"


def _names(action: PlannedAction) -> tuple[str, str]:
    """Names of the source and of the account apart."""
    return action.facts["source"].rpartition("/")[2], action.target.rpartition("/")[2]


async def _there(target: str) -> dict[str, BlobVersion]:
    """What is in the account apart, by name."""
    return {blob.name: blob async for blob in blob_versions.list_versions(target, _CONTAINER, versions=False)}


async def _gaps(action: PlannedAction) -> list[str]:
    """What the source's protection lacks of what its stage demands."""
    service = await storage_accounts.read_blob_service(action.facts["source"])
    demanded = backup_rule(str(action.environment)).retention_days
    lacking = [] if service.versioning else ["its blobs have no versions"]
    if service.kept_days < demanded:
        lacking.append(f"what is removed is kept for {service.kept_days} days; {demanded} are demanded")
    return lacking


def _restore(wish: Wish, account: Account, blobs: list[_Blob]) -> PlannedAction:
    name = f"st{sha256_hex(account.id.lower().encode())[:6]}{wish.record.id.removeprefix('op-')}"
    target = f"{wish.place}/providers/Microsoft.Storage/storageAccounts/{name}"
    body = storage_accounts.account_apart(
        account, tags_of(wish.record, wish.environment), load(AppStoreSettings).drill_subnet
    )
    container = f"{ARM}{target}/blobServices/default/containers/{_CONTAINER}"
    copies = [blob_versions.address_of(name, _CONTAINER, _copy_of(blob)) for blob in blobs if blob[5]]
    return PlannedAction(
        key=account.id.lower(),
        rule=wish.record.operation,
        kind=DataKind.STORAGE,
        target=target,
        environment=wish.environment,
        owned_by=tagging.owner_of(account.tags),
        summary=f"copy {len(blobs)} blobs of {account.name} as they were at {text_of(wish.moment)}",
        calls=[
            PlannedCall(method="PUT", target=f"{ARM}{target}", body=body),
            PlannedCall(method="PUT", target=container, body={}),
            *(PlannedCall(method="PUT", target=copy) for copy in copies),
        ],
        facts={
            "group": wish.place,
            "location": account.location,
            "body": body,
            "source": account.id,
            "blobs": [list(blob) for blob in blobs],
        },
    )
