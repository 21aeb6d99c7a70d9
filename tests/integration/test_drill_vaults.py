"""Drills of Key Vaults: secrets come back as they were, a spoiled copy is noticed, and no value is seen anywhere."""

import json
import logging
import time
from contextlib import suppress
from typing import Any

import pytest

from activities._restores import vaults as restores_of_vaults
from shared.models.operations import OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.register import drills
from shared.register._table import query
from tests.e2e import contracts
from tests.integration.day2 import VAULTS, WorkerDiedError, active, ask, perform, rows
from tests.integration.drilled import Vault
from tests.integration.test_backup_coverage import report
from tests.integration.test_backups import deleted_vaults, groups, settle
from tests.integration.world import World

S = OperationState
CANARY = "canary-7Zq4-value"


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world, environments=["dev"])


@pytest.fixture
def vault(world: World, application: RequestRecord) -> Vault:
    """Three secrets: one with two versions, one that ends, one whose current version is disabled."""
    made = Vault(world, application)
    made.publish("orders", f"{CANARY}-old")
    made.publish("orders", f"{CANARY}-new")
    made.publish("ledger", f"{CANARY}-ledger", exp=int(time.time()) + 86400)
    version = made.publish("retired", f"{CANARY}-retired")
    made.change("retired", version, enabled=False)
    return made


def waits(world: World, record: RequestRecord, history: list[dict[str, Any]]) -> dict[str, Any]:
    return {"on_timer": lambda: settle(world, record), "history": history}


async def until_restored(
    world: World, record: RequestRecord, asked: OperationRecord, history: list[dict[str, Any]]
) -> Vault:
    """Run the drill until everything is restored and nothing is checked; returns the copy."""
    for _ in range(20):
        if any(row.state == "done" for row in await rows(asked)):
            break
        with suppress(WorkerDiedError):
            await perform(asked, dies_after=len(history) + 2, **waits(world, record, history))
    [row] = await rows(asked)
    return Vault(world, record, row.action.target.rpartition("/")[2])


def failed(done: OperationRecord) -> dict[str, str]:
    """Which checks failed, with what they say."""
    return {check["name"].partition(": ")[2]: check["detail"] for check in done.facts["checks"] if not check["passed"]}


async def test_secrets_come_back_and_no_value_is_seen(
    world: World, application: RequestRecord, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before, history = world.position(), list[dict[str, Any]]()
    asked = await ask(application, "drill-restore", environment="dev")
    copy = await until_restored(world, application, asked, history)
    assert copy.call("GET", "secrets/ledger")["value"] == f"{CANARY}-ledger", "it is a copy"
    assert len(copy.call("GET", "secrets/orders/versions")["value"]) == 2
    done = await perform(asked, **waits(world, application, history))
    assert done.state is S.SUCCEEDED, done.problem
    checks = {check["name"].partition(": ")[2] for check in done.facts["checks"]}
    assert checks == {"ready", "secrets", "versions", "attributes", "values"}
    assert (groups(world, application), deleted_vaults(world, application)) == ([], [])
    [noted] = await drills.of_operation(application.application, done.id)
    assert (noted.passed, noted.resource, noted.rpo_seconds, noted.residue) == (True, vault.id, None, "")
    assert noted.removed_at
    kept = [row.document async for row in query(f"PartitionKey eq '{application.application}'")]
    told = json.dumps([history, kept, world.calls(before), await report(application)], default=str) + caplog.text
    assert CANARY not in told
    taken = vault.call("POST", "secrets/orders/backup")["value"]
    assert taken not in told
    assert taken[:40] not in told
    # The contract's excerpt lacks https://learn.microsoft.com/rest/api/keyvault/vaults/list-by-resource-group
    mine = [call for call in world.calls(before) if ".vault.azure.net" in call["url"] or "deletedVaults" in call["url"]]
    mine += [call for call in world.calls(before) if "Microsoft.KeyVault/vaults/" in call["url"]]
    if (check := contracts.load_check()) is not None:
        assert [found for call in mine for found in contracts.complaints(check, call)] == []
    assert {call["method"] for call in mine} == {"GET", "PUT", "POST"}


async def _without_a_secret(copy: Vault) -> None:
    copy.call("DELETE", "secrets/ledger")


async def _without_a_version(copy: Vault) -> None:
    copy.call("DELETE", "secrets/orders")
    copy.call("DELETE", "deletedsecrets/orders")
    copy.publish("orders", f"{CANARY}-new")


async def _with_another_value(copy: Vault) -> None:
    copy.call("DELETE", "secrets/ledger")
    copy.call("DELETE", "deletedsecrets/ledger")
    end = next(item for item in copy.source_items if item["id"].endswith("/ledger"))["attributes"]["exp"]
    copy.publish("ledger", "another", exp=end)


SPOILED = {
    "secrets": ("ledger", _without_a_secret),
    "versions": ("orders", _without_a_version),
    "values": ("ledger", _with_another_value),
}


@pytest.mark.parametrize(
    "check",
    ["values", *(pytest.param(check, marks=pytest.mark.long) for check in ("secrets", "versions", "attributes"))],
)
async def test_a_copy_that_is_not_the_same_fails_the_drill_and_goes(
    world: World, application: RequestRecord, vault: Vault, check: str
) -> None:
    history = list[dict[str, Any]]()
    asked = await ask(application, "drill-restore", environment="dev")
    copy = await until_restored(world, application, asked, history)
    copy.source_items = vault.call("GET", "secrets")["value"]
    if check == "attributes":
        name, version = "ledger", str(copy.call("GET", "secrets/ledger")["id"]).rpartition("/")[2]
        copy.change(name, version, exp=int(time.time()) + 999)
    else:
        name, spoil = SPOILED[check]
        await spoil(copy)
    done = await perform(asked, **waits(world, application, history))
    assert (done.state, done.problem and done.problem.code) == (S.PARTIAL, "drill-failed")
    assert check in failed(done)
    assert name in failed(done)[check]
    assert (groups(world, application), deleted_vaults(world, application)) == ([], [])
    [noted] = await drills.of_operation(application.application, done.id)
    assert noted.passed is False
    assert noted.removed_at


@pytest.mark.long
async def test_what_is_rotated_meanwhile_fails_no_drill(world: World, application: RequestRecord, vault: Vault) -> None:
    history = list[dict[str, Any]]()
    asked = await ask(application, "drill-restore", environment="dev")
    await until_restored(world, application, asked, history)
    time.sleep(1.1)  # noqa: ASYNC251 - times of versions are whole seconds
    vault.publish("orders", f"{CANARY}-newest")
    vault.publish("newcomer", f"{CANARY}-newcomer")
    done = await perform(asked, **waits(world, application, history))
    assert done.state is S.SUCCEEDED, done.facts


async def test_a_vault_that_a_policy_protects_stays_until_its_day(
    world: World, application: RequestRecord, vault: Vault
) -> None:
    history = list[dict[str, Any]]()
    asked = await ask(application, "drill-restore", environment="dev")
    copy = await until_restored(world, application, asked, history)
    [row] = await rows(asked)
    world.azure(row.action.target, VAULTS, "PATCH", {"properties": {"enablePurgeProtection": True}})
    done = await perform(asked, **waits(world, application, history))
    assert done.state is S.SUCCEEDED, done.problem
    [noted] = await drills.of_operation(application.application, done.id)
    assert noted.removed_at, "nothing is left that anybody could remove"
    assert copy.name in noted.residue
    [found] = (await report(application))["resources"]
    assert "protected from being purged" in found["lastDrill"]["residue"]
    assert vault.call("GET", "secrets/orders")["value"] == f"{CANARY}-new"


@pytest.mark.long
async def test_many_secrets_are_restored_some_at_a_time(
    world: World, application: RequestRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restores_of_vaults, "_AT_ONCE", 4)
    made = Vault(world, application)
    for number in range(30):
        made.publish(f"secret-{number:02}", f"{CANARY}-{number}")
    before = world.position()
    done = await perform(
        await ask(application, "drill-restore", environment="dev"), on_timer=lambda: settle(world, application)
    )
    assert done.state is S.SUCCEEDED, done.problem
    assert world.committed(before, "POST", "/secrets/restore") == 25, "the sample that the rules say"
    assert world.committed(before, "POST", "/backup") == 25


async def test_a_secret_that_cannot_be_backed_up_fails_the_drill_and_leaves_nothing(
    world: World, application: RequestRecord, vault: Vault
) -> None:
    refused = {"error": {"code": "Forbidden", "message": "the caller lacks secrets/backup"}}
    world.fault(system="key_vault", method="POST", path="/backup", mode="status", status=403, body=refused, times=9)
    done = await perform(
        await ask(application, "drill-restore", environment="dev"), on_timer=lambda: settle(world, application)
    )
    assert done.state is S.PARKED
    assert done.problem
    assert "secrets/backup" in done.problem.detail
    assert (groups(world, application), deleted_vaults(world, application)) == ([], [])
    [noted] = await drills.of_operation(application.application, done.id)
    assert (noted.passed, noted.resource) == (False, vault.id)
    world.heal()
