"""Every Day-2 operation on its stage: what it finds, how it is asked for, and what is there when it acted once.

A new operation needs a row in ``STAGES``; a new way in which one acts (another provider, another response) a row more.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from shared.clean_up_rules import clean_up_policies
from shared.errors import StateConflictError
from shared.models.clean_up import OrphanRecord, OrphanState
from shared.models.operations import OperationRecord
from shared.models.records import RequestRecord
from shared.register import operations, orphans, tombstones
from tests.integration.day2 import active, ask, group_of, perform, rows
from tests.integration.detections import Detection, tag
from tests.integration.detections import alert as anew
from tests.integration.drilled import Account, Vault, version
from tests.integration.rotated_secrets import AppSecret, StorageSecret
from tests.integration.test_alert_responses import alert, database, incidents, metric, size_of
from tests.integration.test_backups import deleted_vaults, groups, server, settle
from tests.integration.test_clean_up import COMPUTE, NETWORK, TAG, address, disk
from tests.integration.test_clean_up import tags_of as shown_tags
from tests.integration.test_compliance import Policies
from tests.integration.test_drift import issues
from tests.integration.test_off_hours import EVENING, scheduled, state
from tests.integration.test_rotation import NAME, regenerated
from tests.integration.test_tags import account, tags_of
from tests.integration.world import INFRASTRUCTURE, DurableClient, World, caller
from triggers._http import Call
from triggers.http_operations import approve_operation

type Look = Callable[[], Awaitable[Any]]
type Decides = Callable[[Call], Awaitable[Any]]

APPROVER = caller("approver", "Approver", "Operator")

NOW = datetime.now(UTC)


@dataclass
class Scene:
    """What a stage is set with.

    Attributes:
        folder: for rules of its own.
    """

    world: World
    patch: pytest.MonkeyPatch
    folder: Path


@dataclass
class Play:
    """An operation that can begin.

    Attributes:
        asked: how it is asked for, besides its name.
        look: what is there now of what it changes: tells one effect from none and from two.
        once: what ``look`` says after exactly one effect.
        given: what is made ready for the very operation that was asked for.
        on_timer: what happens while it waits.
        event: the event of Azure that asks for it, if it is born of one.
        approved: whether it waits for a person, who approves exactly what is shown.
    """

    record: RequestRecord
    look: Look
    once: Any
    asked: dict[str, Any] = field(default_factory=dict)
    given: Callable[[OperationRecord], None] = lambda _: None
    on_timer: Callable[[], None] = lambda: None
    event: dict[str, Any] | None = None
    approved: bool = False


@dataclass(frozen=True)
class Stage:
    """An operation, or one of its ways to act.

    Attributes:
        rule: the rule of ``rules/guard.yaml`` under which it acts.
        set: sets the stage.
        calls: how many calls change something when nothing goes wrong.
        destructive: whether something is taken away.
        locks: whether a lock of Azure can lie on that: then one of any kind keeps it.
        label: which of its ways to act.
        preparing: regex over method, URL and body of calls that only find out or tell people; a shield need not keep
            them back, and a dry run may make them.
        beside: another rule, with a regex of the calls that are made under it: shields keep them back as well, and they
            are none of the operation's actions.
    """

    operation: str
    rule: str
    set: Callable[[Scene], Awaitable[Play]]
    calls: int
    destructive: bool = False
    locks: bool = True
    label: str = ""
    preparing: str = r"service-now\.com"
    beside: tuple[str, str] = ("", r"(?!)")

    def __str__(self) -> str:
        return f"{self.operation}{self.label}"

    async def ask(self, play: Play, **changes: Any) -> OperationRecord:
        """Ask for it as the stage says."""
        asked = await ask(play.record, self.operation, **(play.asked | changes))
        play.given(asked)
        return asked


async def run(play: Play, asked: OperationRecord, **how: Any) -> OperationRecord:
    """Perform what was asked for, with what happens on this stage while it waits."""

    async def approved() -> bool:
        if play.approved:
            await decide(asked)
        return play.approved

    return await perform(asked, **({"on_timer": play.on_timer, "on_wait": approved} | how))


async def decide(asked: OperationRecord, how: Decides = approve_operation, **said: Any) -> None:
    """A person decides about what is shown now; somebody else may have been faster."""
    shown, client = await operations.get(asked.application, asked.id), DurableClient()
    body = {"digest": shown.digest, **said} if how is approve_operation else said
    place = {"name": shown.application, "operation": shown.id}
    headers = {"content-type": "application/json"}
    with suppress(StateConflictError):
        await how(Call(APPROVER, place, {}, headers, cast(Any, client), json.dumps(body).encode(), "/api"))


async def _switches(scene: Scene) -> Play:
    record = await active(scene.world)
    path = scheduled(scene.world, record)

    async def look() -> str:
        return state(scene.world, path)

    return Play(record, look, "Stopped", {"parameters": {"at": EVENING}})


async def _backup(scene: Scene) -> Play:
    record = await active(scene.world)
    path = server(scene.world, record, "orders")

    async def look() -> int:
        return len(scene.world.azure(f"{path}/backups", "2026-10-01")["value"])

    return Play(record, look, 1)


def _day(ago: int) -> date:
    return (NOW - timedelta(days=ago)).date()


def orphan_of(record: RequestRecord, resource: str, kind: str, **changes: Any) -> OrphanRecord:
    """The row of what nothing uses: marked, announced, and due."""
    policy = next(item for item in clean_up_policies() if item.mark and item.kind.type.lower() == kind.lower())
    usual: dict[str, Any] = {"state": OrphanState.MARKED, "sightings": 9, "first_seen": _day(20), "last_seen": _day(1)}
    usual |= {"marked_on": _day(15), "due": _day(1), "tag": TAG, "told": [14, 7, 1], "told_on": _day(2)}
    own: dict[str, Any] = {"application": record.application, "environment": "dev", "resource": resource, "kind": kind}
    return OrphanRecord(**own, policy=policy.name, **(usual | changes))


async def _removal(scene: Scene) -> Play:
    record = await active(scene.world, environments=["dev"])
    path = disk(scene.world, record)
    row = orphan_of(record, path, "Microsoft.Compute/disks")
    await orphans.change(record.application, path, lambda _: row)

    async def look() -> tuple[bool, int, int]:
        stones = [item async for item in tombstones.of_application(record.application)]
        snapshots = [item for item in stones if item.state == "kept" and scene.world.azure(item.snapshot, COMPUTE)]
        return scene.world.azure(path, COMPUTE) is None, len(stones), len(snapshots)

    return Play(record, look, (True, 1, 1))


async def _mark(scene: Scene) -> Play:
    world, record = scene.world, await active(scene.world, environments=["dev"])
    world.reset("resource_graph")
    world.seed("resource_graph", {"settings/limit": {"calls": 1000, "seconds": 1.0}})
    path = address(world, record)
    seen: dict[str, Any] = {
        "state": OrphanState.WATCHED,
        "marked_on": None,
        "due": None,
        "tag": "",
        "told": [],
        "told_on": None,
    }
    row = orphan_of(record, path, "Microsoft.Network/publicIPAddresses", **seen)
    await orphans.change(record.application, path, lambda _: row)

    async def look() -> tuple[bool, list[int]]:
        found = await orphans.find(record.application, path)
        return TAG in shown_tags(world, path, NETWORK), found.told if found else []

    return Play(record, look, (True, [14]))


async def _restoration(scene: Scene) -> Play:
    play = await _removal(scene)
    removed = await perform(await ask(play.record, "clean-up"))
    [row] = await rows(removed)
    path = row.action.target

    async def look() -> tuple[bool, list[str]]:
        stones = [str(item.state) async for item in tombstones.of_application(play.record.application)]
        return scene.world.azure(path, COMPUTE) is not None, stones

    parameters = {"tombstone": row.result["tombstone"]}
    return Play(play.record, look, (True, ["restored"]), {"parameters": parameters})


async def _restore(scene: Scene) -> Play:
    record = await active(scene.world)
    server(scene.world, record, "orders")

    async def look() -> list[int]:
        place = f"{group_of(record).rpartition('/')[0]}/{{}}/providers/Microsoft.DBforPostgreSQL/flexibleServers"
        found = groups(scene.world, record)
        return [len(scene.world.azure(place.format(group), "2026-10-01")["value"]) for group in found]

    moment = (datetime.now(UTC) - timedelta(minutes=7)).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Play(record, look, [1], {"environment": "dev", "parameters": {"pointInTime": moment}})


async def _drill(scene: Scene) -> Play:
    play = await _restore(scene)
    return Play(play.record, play.look, [], play.asked, on_timer=lambda: settle(scene.world, play.record))


async def _drill_vault(scene: Scene) -> Play:
    record = await active(scene.world)
    Vault(scene.world, record).publish("orders", "a-secret-value")

    async def look() -> list[int]:
        return [len(groups(scene.world, record)), len(deleted_vaults(scene.world, record))]

    asked = {"environment": "dev"}
    return Play(record, look, [0, 0], asked, on_timer=lambda: settle(scene.world, record))


async def _drill_blobs(scene: Scene) -> Play:
    record = await active(scene.world)
    Account(scene.world, record).hold("orders.json", version(60, "content"))

    async def look() -> int:
        return len(groups(scene.world, record))

    return Play(record, look, 0, {"environment": "dev"}, on_timer=lambda: settle(scene.world, record))


async def _tags(scene: Scene) -> Play:
    record = await active(scene.world)
    path = account(scene.world, record, f"st{record.id[-12:].replace('-', '').lower()}", {"foreign": "kept"})

    async def look() -> tuple[str | None, str | None]:
        tags = tags_of(scene.world, path)
        return tags.get("application"), tags.get("foreign")

    event = _event("Microsoft.Resources.ResourceWriteSuccess", path, correlationId=record.id)
    return Play(record, look, (record.application, "kept"), {"environment": "dev"}, event=event)


async def _remediation(scene: Scene) -> Play:
    record = await active(scene.world)
    policies = Policies(scene.world, record)
    path, since = policies.violation(), scene.world.position()

    async def look() -> tuple[bool, int]:
        return "cost-center" in policies.tags(path), policies.tasks(since)

    state_of = {"complianceState": "NonCompliant", "policyAssignmentId": "", "policyDefinitionId": "", "timestamp": "1"}
    event = _event("Microsoft.PolicyInsights.PolicyStateChanged", path, **state_of)
    return Play(record, look, (True, 1), {"environment": "dev"}, event=event)


EXTENSION = """
responses:
  - id: {name}
    match: {{rules: ["alert-*-database-storage"]}}
    action: {{kind: extend-database, largest: 1024}}
    settle: 15
    coolDown: {{target: [], all: []}}
"""


async def _response(scene: Scene) -> Play:
    world, record = scene.world, await active(scene.world)
    path = database(world, record)
    metric(world, path, 92)
    rules = scene.folder / "responses"
    rules.mkdir(exist_ok=True)
    (rules / "own.yaml").write_text(EXTENSION.format(name=f"r-{record.application}"))
    scene.patch.setattr("shared.responses.FOLDER", rules)

    async def look() -> tuple[int, int]:
        return size_of(world, path), len(incidents(world, path))

    asked = {"environment": "dev", "parameters": alert(path)}
    return Play(record, look, (64, 0), asked, on_timer=lambda: metric(world, path, 46))


async def _useless_response(scene: Scene) -> Play:
    play = await _response(scene)
    return Play(play.record, play.look, (64, 1), play.asked)


async def _drift(scene: Scene) -> Play:
    """A tag that somebody changed by hand."""
    return await _drifted(scene, "safe", tag)


async def _repair(scene: Scene) -> Play:
    """What has to be made anew to be as the code says: proposed at once, and done when a person says so."""
    play = await _drifted(scene, "all", anew)
    looked = play.look

    async def look() -> tuple[Any, list[str]]:
        pulls = scene.world.github(f"/repos/contoso/{play.record.application}/pulls?state=all")
        return await looked(), [pull["state"] for pull in pulls]

    return replace(play, look=look, once=(play.once, ["closed"]), approved=True)


async def _drifted(scene: Scene, wanted: str, found: Callable[[RequestRecord], list[dict[str, Any]]]) -> Play:
    """Drift; the runner finds what it left in an earlier, interrupted life."""
    world, record = scene.world, await active(scene.world)
    world.github("/orgs/contoso/repos", "POST", {"name": record.application, "auto_init": True})
    runs = f"{INFRASTRUCTURE}/actions/workflows/iac.yml/runs?per_page=100"

    begun: list[str] = []

    def given(asked: OperationRecord) -> None:
        begun.append(asked.id)
        detection = Detection(world, asked)
        for action, changes in (("drift", found(record)), ("plan", found(record)), ("apply", [])):
            detection.found(changes, action)

    def wait() -> None:
        while any(item["status"] != "completed" for item in world.github(runs)["workflow_runs"]):
            continue

    async def look() -> tuple[list[str], list[str]]:
        names = [item["display_title"] for item in world.github(runs)["workflow_runs"]]
        ours = {name.removesuffix("-1").rpartition("-")[2]: name for name in names if any(own in name for own in begun)}
        assert len(ours) == sum(any(own in name for own in begun) for name in names), names
        return sorted(ours), [item["state"] for item in issues(world, record)]

    once = ["apply", "drift", "plan"], ["closed"]
    asked = {"environment": "dev", "parameters": {"reconcile": wanted}}
    return Play(record, look, once, asked, given=given, on_timer=wait)


async def _rotation(scene: Scene) -> Play:
    secret = StorageSecret(scene.world, await active(scene.world))
    asked = {"parameters": secret.parameters(version=secret.version())}
    topic = f"{group_of(secret.request)}/providers/Microsoft.KeyVault/vaults/{secret.vault}"
    said = {"VaultName": secret.vault, "ObjectName": "storage-key", "Version": secret.version()}
    event = _event("Microsoft.KeyVault.SecretNearExpiry", "storage-key", **said) | {"topic": topic}
    return Play(secret.request, _renewed(secret), (2, 2, True, True), asked, event=event)


LEAKED = "the key was in a public repository"
SINGLE = """
rules: [{secrets: "*", strategy: single, overlapDays: 0, validityDays: 90, owner: its team, reason: there is one}]
"""


async def _revocation(scene: Scene) -> Play:
    secret = StorageSecret(scene.world, await active(scene.world))
    asked = {"parameters": secret.parameters(reason=LEAKED)}
    return Play(secret.request, _renewed(secret), (2, 2, True, True), asked)


def _renewed(secret: StorageSecret, *names: str) -> Look:
    """What became of the keys; of those with these names, if not of both."""
    since, before = secret.world.position(), secret.keys()

    async def look() -> tuple[int, int, bool, bool]:
        kept = {name for name, value in secret.keys().items() if before[name] == value}
        gone = kept == before.keys() - (names or before.keys())
        return secret.versions(), regenerated(secret, since), gone, await secret.logs_in()

    return look


def one_credential(scene: Scene) -> None:
    """From now on a secret's credential has no second one beside it."""
    file = scene.folder / "rotation.yaml"
    file.write_text(SINGLE)
    scene.patch.setattr("shared.rotation_rules.FILE", file)


async def _replacement(scene: Scene) -> Play:
    one_credential(scene)
    secret = StorageSecret(scene.world, await active(scene.world))
    asked = {"parameters": secret.parameters(version=secret.version())}
    return Play(secret.request, _renewed(secret, "key1"), (2, 1, True, True), asked)


async def _new_password(scene: Scene) -> Play:
    """A password of an application in the directory: a new one is made before the old one ends."""
    one_credential(scene)
    secret = AppSecret(scene.world, await active(scene.world))
    before = secret.current()

    async def look() -> tuple[int, int, bool, bool]:
        gone = not await secret.lets_in(before["value"], before["tags"])
        return secret.versions(), len(secret.passwords()), gone, await secret.logs_in()

    asked = {"parameters": secret.parameters(version=secret.version())}
    return Play(secret.request, look, (2, 1, True, True), asked)


async def _sole_revocation(scene: Scene) -> Play:
    play = await _replacement(scene)
    leaked = {"vault": play.asked["parameters"]["vault"], "secret": NAME, "reason": LEAKED}
    return replace(play, asked={"parameters": leaked})


def _event(kind: str, subject: str, **data: Any) -> dict[str, Any]:
    """An event as Event Grid tells it."""
    known = {"topic": "/".join(subject.split("/")[:3]), "subject": subject, "eventType": kind, "data": data}
    identifier = hashlib.sha256(f"{kind}{subject}{sorted(data)}".encode()).hexdigest()[:16]
    return {"id": identifier, "eventTime": "2026-11-26T10:00:00Z", **known}


_DETECTING = r"/issues|/dispatches.*\"action\": ?\"(drift|plan)\""
_PROPOSING = "propose-drift", r"/git/|/pulls"
STAGES = [
    Stage("apply-schedule", "apply-schedule", _switches, 1),
    Stage("back-up", "back-up", _backup, 1),
    Stage("clean-up", "clean-up", _removal, 2, destructive=True),
    Stage("detect-drift", "reconcile-drift", _drift, 5, preparing=_DETECTING),
    Stage(
        "detect-drift",
        "repair-drift",
        _repair,
        13,
        label="-all",
        destructive=True,
        preparing=_DETECTING,
        beside=_PROPOSING,
    ),
    Stage("drill-restore", "drill-restore", _drill, 3),
    Stage("drill-restore", "drill-restore", _drill_vault, 5, label="-vault"),
    Stage("drill-restore", "drill-restore", _drill_blobs, 5, label="-blobs"),
    Stage("mark-orphans", "mark-orphans", _mark, 1),
    Stage("reconcile-tags", "reconcile-tags", _tags, 2),
    Stage("remediate-compliance", "remediate-compliance", _remediation, 1),
    Stage("respond-to-alert", "respond-to-alert", _response, 1),
    Stage("respond-to-alert", "respond-to-alert", _useless_response, 2, label="-in-vain"),
    Stage("restore", "restore", _restore, 2),
    Stage("restore-tombstone", "restore-tombstone", _restoration, 1),
    Stage("revoke-secret", "revoke-secret", _revocation, 3, destructive=True),
    Stage("revoke-secret", "revoke-secret", _sole_revocation, 2, destructive=True, label="-single"),
    Stage("rotate-secret", "rotate-secret", _rotation, 3, destructive=True),
    Stage("rotate-secret", "rotate-single-secret", _replacement, 2, destructive=True, label="-single"),
    Stage(
        "rotate-secret",
        "rotate-single-secret",
        _new_password,
        3,
        destructive=True,
        locks=False,
        label="-single-password",
    ),
]


def prepares(stage: Stage, request: httpx.Request) -> bool:
    """Whether a call only finds out or tells people."""
    return _fits(stage.preparing, request)


def beside(stage: Stage, request: httpx.Request) -> bool:
    """Whether a call is made under the other rule."""
    return _fits(stage.beside[1], request)


def _fits(pattern: str, request: httpx.Request) -> bool:
    return re.search(pattern, f"{request.method} {request.url} {request.content.decode()}") is not None
