"""Renewing a secret that has two credentials: the one that nobody uses is made new, proven, published; then the other.

Provider first, then the proof, then the vault: whatever dies in between, the published credential works.
"""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from activities._activity import activity, look
from activities._guarded import Done, UnderWayError, carry_out, keep_survey
from shared import tagging
from shared.clients import key_vault, resources, storage_keys
from shared.clients.key_vault import SecretVersion
from shared.errors import NotFoundError
from shared.guard import Permit
from shared.models.day2_secrets import Overlap, SecretName
from shared.models.operations import (
    ActionRecord,
    OperationRecord,
    PlannedAction,
    PlannedCall,
    Survey,
    Wave,
    WaveResult,
)
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Effect
from shared.plan import group_of
from shared.register import leases, operations, requests
from shared.rotation_rules import RotationRule, rotation_rule

ROTATION, CREDENTIAL, PROVIDER, VALIDITY = "rotation-id", "CredentialId", "ProviderAddress", "ValidityPeriodDays"
REVOKE = "revoke-secret"
_OTHER = {"key1": "key2", "key2": "key1"}
_ACCOUNT = "/providers/microsoft.storage/storageaccounts/"
_ARM = "https://management.azure.com"


@look
async def list_rotation(data: ActivityInput) -> Effect:
    """Plan how a secret is renewed; a version that is no longer the current one needs nothing.

    Idempotency: reads at the vendors; the planned actions are written over those of an earlier survey.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    return await keep_survey(data, await _survey(record, _named(record)))


def _named(record: OperationRecord) -> SecretName:
    return SecretName.model_validate({name: record.parameters[name] for name in ("vault", "secret")})


async def _survey(record: OperationRecord, asked: SecretName) -> Survey:
    environment = await _stage_of(record, asked.vault)
    if environment is None:
        return Survey(unreadable=[f"{asked.vault}: no vault of {record.application} has this name"])
    try:
        secret = await key_vault.read_version(key_vault.url_of(asked.vault), asked.secret)
    except NotFoundError:
        return Survey(unreadable=[f"{asked.secret}: {asked.vault} has no such secret"])
    rule = rotation_rule(asked.secret)
    if rule is None or (idle := _idle(record, secret, rule)):
        why = idle if rule else "no rule of rules/rotation.yaml is about it"
        return Survey(scanned=1, summary=f"nothing to do: {why}")
    provider = secret.tags.get(PROVIDER, "")
    if _ACCOUNT not in provider.lower() or secret.tags.get(CREDENTIAL) not in _OTHER:
        told = f"its tags {PROVIDER} and {CREDENTIAL} must name a storage account and key1 or key2"
        return Survey(scanned=1, unreadable=[f"{asked.secret}: {told}"])
    try:
        owner = tagging.owner_of(await resources.read_tags(provider))
    except NotFoundError:
        return Survey(scanned=1, unreadable=[f"{provider}: it does not exist"])
    return Survey(actions=_planned(record, asked, secret, environment, owner), scanned=1)


async def _stage_of(record: OperationRecord, vault: str) -> str | None:
    """The stage whose resource group has the vault."""
    application = await requests.application(record.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    request = await requests.get(application.name, application.request_id)
    for stage in [record.environment] if record.environment else application.environments:
        async for found in _vaults(request, stage):
            if found.lower() == vault.lower():
                return stage
    return None


async def _vaults(request: RequestRecord, stage: str) -> AsyncIterator[str]:
    group = group_of(request, stage)
    try:
        async for resource in resources.list_resources(group):
            if resource.type.lower() == "microsoft.keyvault/vaults":
                yield resource.name
    except NotFoundError:
        return


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


def _planned(
    record: OperationRecord, asked: SecretName, secret: SecretVersion, environment: str, owner: str
) -> list[PlannedAction]:
    """First the new credential is published; then, in a wave of its own, the old one is made worthless."""
    used, provider = secret.tags[CREDENTIAL], secret.tags[PROVIDER]
    published = secret.tags.get(ROTATION) == record.id  # by an earlier attempt
    new, old = (used, _OTHER[used]) if published else (_OTHER[used], used)
    facts = {**asked.document(), "version": secret.version, "since": record.created_at}
    regenerate = f"{_ARM}{provider}/regenerateKey"
    put = f"{key_vault.url_of(asked.vault)}/secrets/{asked.secret}"

    def action(step: str, key: str, summary: str, calls: list[PlannedCall]) -> PlannedAction:
        return PlannedAction(
            key=step,
            rule=record.operation,
            kind="storage account key",
            target=provider,
            environment=environment,
            owned_by=owner,
            summary=summary,
            calls=calls,
            destructive=True,
            facts={**facts, "step": step, "credential": key},
        )

    renew = PlannedCall(method="POST", target=regenerate, body={"keyName": new})
    retire = PlannedCall(method="POST", target=regenerate, body={"keyName": old})
    publish = PlannedCall(method="PUT", target=put, body={"tags": {CREDENTIAL: new, ROTATION: record.id}})
    return [
        action("publish", new, f"renew {new}, prove it and publish it as {asked.secret}", [renew, publish]),
        action("retire", old, f"renew {old}, so that its old value is worthless", [retire]),
    ]


@activity
async def renew_credentials(data: Wave) -> WaveResult:
    """Publish the new credential, or make the old one worthless.

    Idempotency: a version with the operation's tag is there already; a key younger than the operation is its own.
    """
    return await carry_out(data, _renew, _locked)


async def _locked(action: PlannedAction) -> bool:
    return await resources.is_locked(action.target)


async def _renew(row: ActionRecord, permit: Permit) -> Done:
    facts = row.action.facts
    secret = await key_vault.read_version(key_vault.url_of(facts["vault"]), facts["secret"])
    ours = secret.tags.get(ROTATION) == row.operation_id
    if facts["step"] == "retire":
        if not ours:
            return Done(gone=True, detail="the current version is not of this operation: the credential stays")
        await _fresh_key(row, permit)
        return Done(detail=f"{facts['credential']} is new; its old value is worthless")
    if not ours:
        if secret.version != facts["version"]:
            return Done(gone=True, detail="somebody published another version meanwhile")
        await _publish(row, secret, permit)
    return Done(detail=f"{facts['credential']} is published")


async def _publish(row: ActionRecord, secret: SecretVersion, permit: Permit) -> None:
    facts, account = row.action.facts, row.action.target
    key = await _fresh_key(row, permit)
    if not await storage_keys.authenticates(account, key):
        raise UnderWayError(f"{key.key_name} of {account.rpartition('/')[2]} does not authenticate yet")
    tags = secret.tags | {CREDENTIAL: key.key_name, ROTATION: row.operation_id}
    await key_vault.add_version(
        key_vault.url_of(facts["vault"]),
        facts["secret"],
        key.value,
        permit,
        tags=tags,
        expires=int(time.time()) + _validity(secret, facts["secret"]) * 86400,
    )


def _validity(secret: SecretVersion, name: str) -> int:
    days = secret.tags.get(VALIDITY, "")
    rule = rotation_rule(name)
    return int(days) if days.isdigit() and int(days) else rule.validity_days if rule else 90


async def _fresh_key(row: ActionRecord, permit: Permit) -> storage_keys.AccessKey:
    """The credential, made new unless this operation did so already."""
    account, name = row.action.target, row.action.facts["credential"]
    key = (await storage_keys.list_keys(account))[name]
    since = datetime.fromisoformat(row.action.facts["since"])
    if key.creation_time and datetime.fromisoformat(key.creation_time) >= since:
        return key
    return (await storage_keys.regenerate_key(account, name, permit))[name]


@look
async def begin_overlap(data: ActivityInput) -> Overlap:
    """Give the application's lease back while both credentials work, and say until when.

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
        return Overlap(detail="nothing new was published")
    until = _end_of_overlap(secret, rule).isoformat()
    return Overlap(until=until, detail=f"the old credential works until {until}")
