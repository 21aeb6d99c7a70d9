"""Renewing a secret: the credential that nobody uses is made new, proven, published; then the old one ends.

Provider first, then the proof, then the vault: whatever dies in between, the published credential works.
"""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from activities._providers import (
    ALTERNATE,
    CREDENTIAL,
    PROVIDER,
    Credential,
    CredentialProvider,
    NotYetError,
    Turn,
    provider_of,
)
from activities._rotation_plan import REVOKE, ROTATION, RotationPlan
from shared.clients import key_vault
from shared.clients.key_vault import PublishedSecret, SecretVersion
from shared.errors import NotFoundError, PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.models.day2_secrets import Overlap, SecretName
from shared.models.operations import (
    ActionRecord,
    ActionState,
    OperationRecord,
    PlannedAction,
    Survey,
    Wave,
    WaveResult,
)
from shared.models.runs import ActivityInput, Effect
from shared.register import leases, operations, requests
from shared.rotation_rules import RotationRule, rotation_rule
from shared.vaults import vaults_of

_WAITS = (0.0, 0.0, 0.5, 1.0, 2.0)  # between the looks at what several runs have made of a credential
VALIDITY = "ValidityPeriodDays"


@look
async def list_rotation(data: ActivityInput) -> Effect:
    """Plan how a secret is renewed; a version that is no longer the current one needs nothing.

    Idempotency: reads at the vendors; the planned actions are written over those of an earlier survey.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    return await keep_survey(data, await _survey(record, _named(record)))


def _named(record: OperationRecord) -> SecretName:
    return SecretName.model_validate({name: record.parameters[name] for name in ("vault", "secret")})


class _UnreadableError(Exception):
    """Why a secret cannot be judged."""


async def _survey(record: OperationRecord, asked: SecretName) -> Survey:
    try:
        return await _found(record, asked)
    except _UnreadableError as error:
        return Survey(scanned=1, unreadable=[str(error)])


async def _found(record: OperationRecord, asked: SecretName) -> Survey:
    environment = await _stage_of(record, asked.vault)
    if environment is None:
        raise _UnreadableError(f"{asked.vault}: no vault of {record.application} has this name")
    try:
        secret = await key_vault.read_version(key_vault.url_of(asked.vault), asked.secret)
    except NotFoundError as error:
        raise _UnreadableError(f"{asked.secret}: {asked.vault} has no such secret") from error
    rule = rotation_rule(asked.secret)
    if rule is None or (idle := _idle(record, secret, rule)):
        why = idle if rule else "no rule of rules/rotation.yaml is about it"
        return Survey(scanned=1, summary=f"nothing to do: {why}")
    if (days := _validity(secret, rule)) < rule.least_days:
        told = f"its tag {VALIDITY} says {days} days, {rule.least_days} are the least: {rule.why_least}"
        raise _UnreadableError(f"{asked.secret}: {told}")
    address = secret.tags.get(PROVIDER, "")
    provider = provider_of(address)
    if provider is None:
        told = f"its tag {PROVIDER} names nothing whose credentials the App Store renews"
        raise _UnreadableError(f"{asked.secret}: {told}")
    turns = _turns(record, asked, secret, rule, provider)
    if turns is None:
        raise _UnreadableError(f"{asked.secret}: its tags {PROVIDER} and {CREDENTIAL} {provider.needs}")
    try:
        owner = await provider.owner(address)
    except NotFoundError as error:
        raise _UnreadableError(f"{address}: it does not exist") from error
    planned = RotationPlan(record, asked, secret, environment, owner, provider)
    return Survey(actions=planned.actions(rule, *turns), scanned=1)


async def _stage_of(record: OperationRecord, vault: str) -> str | None:
    """The stage whose resource group has the vault."""
    application = await requests.application(record.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    request = await requests.get(application.name, application.request_id)
    for stage in [record.environment] if record.environment else application.environments:
        async for found in vaults_of(request, stage):
            if found.lower() == vault.lower():
                return stage
    return None


def _idle(record: OperationRecord, secret: SecretVersion, rule: RotationRule) -> str | None:
    """Why nothing is to be done; None when there is something."""
    if rule.strategy == "none":
        return f"the App Store does not renew it: {rule.reason}"
    if secret.tags.get(ROTATION) == record.id or record.operation == REVOKE:
        return None
    version = record.parameters.get("version")
    if version and version != secret.version:
        return f"{version} is not the current version any more"
    if ROTATION in secret.tags and datetime.now(UTC) < _end_of_overlap(secret, rule):
        return "the last rotation is not over: the credential that would be replaced may still be in use"
    return None


def _end_of_overlap(secret: SecretVersion, rule: RotationRule) -> datetime:
    return datetime.fromtimestamp(secret.attributes.created, UTC) + timedelta(days=rule.overlap_days)


def _turns(
    record: OperationRecord, asked: SecretName, secret: SecretVersion, rule: RotationRule, provider: CredentialProvider
) -> tuple[Turn, Turn] | None:
    """The credential that is made new, and the one that ends; None when the tags name none."""
    used = secret.tags.get(CREDENTIAL, "")
    new = ("" if provider.adds else used) if rule.strategy == "single" else provider.alternate(secret.tags)
    if not used or new is None:
        return None
    old = used
    if secret.tags.get(ROTATION) == record.id:  # published by an earlier attempt
        new, old = used, secret.tags.get(ALTERNATE, used)
    days = _validity(secret, rule) + int(rule.overlap_days) + 1

    def turn(name: str) -> Turn:
        place = f"{asked.vault.lower()}/{asked.secret}"
        return Turn(secret.tags[PROVIDER], name, place, record.id, record.created_at, days)

    return turn(new), turn(old)


def _validity(secret: SecretVersion, rule: RotationRule | None) -> int:
    days = secret.tags.get(VALIDITY, "")
    return int(days) if days.isdigit() and int(days) else rule.validity_days if rule else 90


@activity
async def renew_credentials(data: Wave) -> WaveResult:
    """Publish the new credential, or make the old one worthless.

    Idempotency: a version with the operation's tag is there already, and what it holds is let in; until then nobody
    uses the credential that is made new, once or twice.
    """
    return await carry_out(data, _renew, _locked)


def _provider(address: str) -> CredentialProvider:
    provider = provider_of(address)
    assert provider is not None, "the survey plans for known providers only"  # noqa: S101 - its address is in the digest
    return provider


async def _locked(action: PlannedAction) -> bool:
    return await _provider(action.target).locked(action.target)


async def _renew(row: ActionRecord, permit: Permit) -> Done:
    facts, provider, turn = row.action.facts, _provider(row.action.target), _turn(row, "credential")
    secret = await key_vault.read_published(key_vault.url_of(facts["vault"]), facts["secret"])
    ours = secret.tags.get(ROTATION) == row.operation_id
    if facts["step"] == "retire":
        if not ours:
            return Done(gone=True, detail="the current version is not of this operation: the credential stays")
        if row.action.rule != REVOKE and not await provider.authenticates(turn, _held(provider, secret)):
            raise UnderWayError("the published credential is not let in: the old one stays")
        await _retire(row, provider, secret, permit)
        return Done(detail=f"{turn.credential} is worthless now")
    if not ours and secret.version != facts["version"]:
        return Done(gone=True, detail="somebody published another version meanwhile")
    if not ours or not await provider.authenticates(turn, _held(provider, secret)):
        secret = await _publish(row, provider, secret, permit)
    if facts["step"] == "replace" and provider.adds:
        secret = await _retire(row, provider, secret, permit)
    return Done(detail=f"{secret.tags[CREDENTIAL]} is published")


async def _retire(
    row: ActionRecord, provider: CredentialProvider, secret: PublishedSecret, permit: Permit
) -> PublishedSecret:
    """End the old credential; what another run published since it was read may have ended with it, and is made good."""
    turn = _turn(row, "old")
    await provider.retire(turn, _held(provider, secret), permit)
    now = await key_vault.read_published(key_vault.url_of(row.action.facts["vault"]), row.action.facts["secret"])
    if now.version == secret.version or now.tags.get(ROTATION) != row.operation_id:
        return now
    return (
        now if await provider.authenticates(turn, _held(provider, now)) else await _publish(row, provider, now, permit)
    )


def _turn(row: ActionRecord, which: str) -> Turn:
    facts = row.action.facts
    return Turn(
        row.action.target,
        facts[which],
        f"{facts['vault'].lower()}/{facts['secret']}",
        row.operation_id,
        facts["since"],
        facts.get("days", 90),
        leaked=row.action.rule == REVOKE,
    )


def _held(provider: CredentialProvider, secret: PublishedSecret) -> Credential:
    return Credential(secret.tags.get(CREDENTIAL, ""), provider.shown(secret.value))


async def _publish(
    row: ActionRecord, provider: CredentialProvider, secret: PublishedSecret, permit: Permit
) -> PublishedSecret:
    """Provider, proof, vault; again until what the vault has is let in: another run may have renewed it meanwhile.

    Whoever renews, ends or publishes looks afterwards at what is published: the last of several runs leaves it right.
    """
    if secret.value.lstrip()[:1] in set("{[<"):
        told = "its value is a document: only credentials alone, addresses and connection strings can be written anew"
        raise PermanentIntegrationError(VendorCall("key vault", "get secret"), told)
    turn = _turn(row, "credential")
    if row.action.facts["step"] == "retire":
        turn = replace(turn, credential="" if provider.adds else secret.tags[CREDENTIAL])
    credential = await _renewed(provider, turn, permit)
    for wait in _WAITS:
        await asyncio.sleep(wait)
        if await provider.authenticates(turn, credential):
            secret = await _add_version(row, provider, secret, credential, permit)
            if await provider.authenticates(turn, _held(provider, secret)):
                return secret
        credential = await provider.read(turn) or await _renewed(provider, turn, permit)
    raise UnderWayError(f"{credential.name} of {turn.address.rpartition('/')[2]} is not let in yet")


async def _renewed(provider: CredentialProvider, turn: Turn, permit: Permit) -> Credential:
    try:
        return await provider.renew(turn, permit)
    except NotYetError as error:
        raise UnderWayError(str(error)) from error


async def _add_version(
    row: ActionRecord, provider: CredentialProvider, secret: PublishedSecret, credential: Credential, permit: Permit
) -> PublishedSecret:
    """Publish the credential in the form of the version before it; returns what is published then."""
    facts = row.action.facts
    tags = secret.tags | {CREDENTIAL: credential.name, ROTATION: row.operation_id}
    old = facts.get("old") or secret.tags.get(CREDENTIAL, "")
    if old != credential.name:
        tags[ALTERNATE] = old
    vault, name = key_vault.url_of(facts["vault"]), facts["secret"]
    expires = int(time.time()) + _validity(secret, rotation_rule(name)) * 86400
    value = provider.written(secret.value, credential)
    await key_vault.add_version(vault, name, value, permit, tags=tags, expires=expires)
    published = await key_vault.read_published(vault, name)
    if published.tags.get(ROTATION) != row.operation_id:
        raise UnderWayError("somebody published another version meanwhile")
    return published


@look
async def begin_overlap(data: ActivityInput) -> Overlap:
    """Give the application's lease back while both credentials work, and say until when.

    Where nothing was published because nothing was to be, nothing is left to be ended either: then that is written.

    Idempotency: a lease that is not ours is left alone; the end is told from the published version.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    asked = _named(record)
    secret, rule = (
        await key_vault.read_version(key_vault.url_of(asked.vault), asked.secret),
        rotation_rule(asked.secret),
    )
    await leases.release(record.application, record.id)
    if rule is None or secret.tags.get(ROTATION) != record.id:
        await _keep_old(record)
        return Overlap(detail="nothing new was published")
    until = _end_of_overlap(secret, rule).isoformat()
    return Overlap(until=until, detail=f"the old credential works until {until}")


async def _keep_old(record: OperationRecord) -> None:
    """The old credential stays: an exemption or somebody else's version kept its successor from being published."""
    rows = [row async for row in operations.actions(record.application, record.id)]
    if all(row.state in (ActionState.EXEMPT, ActionState.GONE) for row in rows if row.wave == 0):
        told = {"state": ActionState.GONE, "detail": "nothing new was published: the credential stays"}
        for row in rows:
            if row.state is ActionState.PLANNED:
                await operations.write_action(record.application, row.model_copy(update=told))
