"""One release through all stages by one digest: gates, approvals, change, proof; and what stops it."""

import re
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import httpx
import pytest

from local.sign_in import GITHUB, github_headers
from local.stack import Stack
from tests.e2e.driver import Desk, Document, until
from tests.e2e.estate import Estate
from tests.e2e.test_archetypes import OTHERS
from tests.e2e.test_crash_matrix import StackFactory, points

STAGES = ["dev", "qa", "prod"]
ENDED = ("succeeded", "degraded", "refused", "rejected", "expired", "cancelled", "parked", "rolled_back")
DAY = 86_400


class Promoter:
    """A person who promotes one application."""

    def __init__(self, desk: Desk, name: str, archetype: str = "api") -> None:
        self.desk, self.name, self.archetype = desk, name, archetype

    def onboard(self, *stages: str) -> Document:
        changes: Document = {} if self.archetype == "api" else {"archetype": self.archetype, "parameters": {}}
        wanted = list(stages) or STAGES
        request_id = self.desk.order(self.name, environments=wanted, criticality="low", **changes)
        planned = self.desk.wait(request_id, "awaiting_approval", seconds=900)
        self.desk.approve(request_id, planned["plan"]["digest"])
        request = self.desk.wait(request_id, "succeeded", "parked", seconds=1200)
        assert request["state"] == "succeeded", request["problem"]
        return request

    def ask(self, source: str, target: str, key: str, **fields: Any) -> Any:
        wanted = {"from": source, "to": target, **fields}
        path = f"applications/{self.name}/promotions"
        return self.desk.call("POST", path, "requester", wanted, Idempotency_Key=key)

    def show(self, identifier: str) -> Document:
        answer = self.desk.call("GET", f"applications/{self.name}/promotions/{identifier}", "operator")
        assert answer.status_code == 200, answer.text
        document: Document = answer.json()
        return document

    def wait(self, identifier: str, *states: str, seconds: float = 600) -> Document:
        def look() -> Document | None:
            document = self.show(identifier)
            if document["state"] in states:
                return document
            assert document["state"] not in ENDED, f"{document['state']}: {document['problem']}"
            return None

        return until(f"{identifier} in {states}", look, seconds)

    def run(self, source: str, target: str, *states: str, key: str, **fields: Any) -> Document:
        answer = self.ask(source, target, key, **fields)
        assert answer.status_code == 202, answer.text
        return self.wait(answer.json()["id"], *states)

    def decide(self, identifier: str, decision: str, persona: str, **fields: Any) -> Any:
        return self.desk.call("POST", f"applications/{self.name}/promotions/{identifier}/{decision}", persona, fields)

    def approve(self, promotion: Document) -> None:
        for persona in ("approver", "admin"):
            shown = promotion["documentDigest"]
            answer = self.decide(promotion["id"], "approve", persona, documentDigest=shown)
            assert answer.status_code == 202, answer.text

    def health(self, stage: str) -> Document:
        answer = self.desk.stack.vendors.get(f"https://{self.name}.{stage}.apps.contoso.com/health")
        document: Document = answer.json()
        return document

    def age(self, stage: str, seconds: int) -> None:
        """Time passes at GitHub: the deployments of a stage were made so much earlier."""
        estate = Estate(self.desk.stack)
        place = f"/repos/contoso/{self.name}"
        number = estate.github(place)["id"]
        for found in estate.github(f"{place}/deployments?environment={stage}"):
            if found["payload"]:
                states = estate.github(f"{place}/deployments/{found['id']}/statuses")
                aged = [state | {"created_at": _earlier(state["created_at"], seconds)} for state in states]
                key = f"{number}/deployment/{found['id']}"
                self.desk.stack.vendors_admin("POST", "seed", {"github_evidence": {key: found | {"statuses": aged}}})

    def commit(self, text: str) -> None:
        """An administrator pushes past the reviews; the pipeline builds another image and deploys it to dev."""
        estate, place = Estate(self.desk.stack), f"/repos/contoso/{self.name}"
        before = self.health("dev")["digest"]
        head = estate.github(f"{place}/git/ref/heads/main")["object"]["sha"]
        path = "app/__init__.py"
        entry = {"path": path, "mode": "100644", "type": "blob", "content": f'"""{text}."""\n'}
        tree = self._github("POST", f"{place}/git/trees", {"base_tree": head, "tree": [entry]})["sha"]
        wanted = {"message": text, "tree": tree, "parents": [head]}
        sha = self._github("POST", f"{place}/git/commits", wanted)["sha"]
        nothing = dict.fromkeys(("required_status_checks", "required_pull_request_reviews", "restrictions"))
        self._github("PUT", f"{place}/branches/main/protection", nothing | {"enforce_admins": False})
        self._github("PATCH", f"{place}/git/refs/heads/main", {"sha": sha})
        until("another image runs in dev", lambda: self.health("dev")["digest"] != before or None, 300)
        until("it is recorded", lambda: self.recorded("dev") == self.health("dev")["digest"] or None, 120)

    def _github(self, method: str, path: str, body: Document) -> Any:
        headers = github_headers(self.desk.stack)
        answer = self.desk.stack.vendors.request(method, f"{GITHUB}{path}", json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()

    def recorded(self, stage: str) -> str:
        found = Estate(self.desk.stack).github(f"/repos/contoso/{self.name}/deployments?environment={stage}")
        return str(next((item["payload"]["digest"] for item in found if item["payload"]), ""))


def _earlier(moment: str, seconds: int) -> str:
    then = datetime.fromisoformat(moment) - timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_one_release_goes_through_to_prod_by_one_digest_and_back(desk: Desk) -> None:
    promoter = Promoter(desk, "journey-api")
    request = promoter.onboard()
    assert (request["result"]["unplanned"], request["result"]["missing"]) == ([], [])
    digest = promoter.health("dev")["digest"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)

    first = promoter.run("dev", "qa", "succeeded", key="one")
    assert first["release"]["digest"] == promoter.health("qa")["digest"] == digest
    assert promoter.ask("dev", "qa", "one").json()["id"] == first["id"]

    _require_refused(promoter, digest)

    promoter.age("qa", DAY)
    waiting = promoter.run("qa", "prod", "awaiting_approval", key="three")
    own = promoter.decide(waiting["id"], "approve", "requester", documentDigest=waiting["documentDigest"])
    assert own.status_code == 403
    promoter.approve(waiting)
    released = promoter.wait(waiting["id"], "succeeded")
    assert promoter.health("prod")["digest"] == digest
    _require_closed_change(desk.stack, released)

    promoter.commit("A second version")
    newer = promoter.run("dev", "qa", "succeeded", key="four")
    assert promoter.health("qa")["digest"] == newer["release"]["digest"] != digest
    path = f"applications/{promoter.name}/promotions/{newer['id']}/rollback"
    answer = desk.call("POST", path, "requester", {"reason": "It is slow."}, Idempotency_Key="back")
    assert answer.status_code == 202, answer.text
    back = promoter.wait(answer.json()["id"], "succeeded")
    assert promoter.health("qa")["digest"] == digest
    assert promoter.show(newer["id"])["state"] == "rolled_back"
    assert back["rollsBack"] == newer["id"]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("archetype", OTHERS)
def test_every_archetype_is_promoted_by_one_digest(desk: Desk, archetype: str) -> None:
    promoter = Promoter(desk, f"{archetype.replace('_', '-')}-stages", archetype)
    promoter.onboard("dev", "qa")
    digest = promoter.recorded("dev")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    promoted = promoter.run("dev", "qa", "succeeded", key=f"{archetype}-one")
    assert promoted["release"]["digest"] == promoter.recorded("qa") == digest
    _require_closed_change(desk.stack, promoted)
    if archetype == "spa":
        site = f"https://{promoter.name}.qa.apps.contoso.com"
        assert desk.stack.vendors.get(f"{site}/settings.json").json() == {"environment": "qa"}
        assert desk.stack.vendors.get(f"{site}/health.json").json()["version"] == promoted["release"]["commit"]


def _require_refused(promoter: Promoter, digest: str) -> None:
    """Too early, and by another digest."""
    early = promoter.run("qa", "prod", "refused", key="two")
    assert "PRM-009" in early["problem"]["rules"]
    tampered = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    other = promoter.run("qa", "prod", "refused", key="tampered", digest=tampered)
    assert {"PRM-002", "PRM-007", "PRM-008"} <= set(other["problem"]["rules"])


def _require_closed_change(stack: Stack, promotion: Document) -> None:
    (change,) = Estate(stack).rows("change_request", f"correlation_id={promotion['id']}")
    assert change["state"] == "3"
    assert promotion["release"]["digest"] in change["close_notes"]


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_kill_after_each_external_call_leaves_one_deployment(fresh_stack: StackFactory) -> None:
    """The host dies with the answer of each call in its hands; the promotion ends, with one of everything."""
    stack = fresh_stack("promote", host_environment={"APPSTORE_RETRY_SECONDS": "0.5", "APPSTORE_POLL_SECONDS": "0.3"})
    promoter = Promoter(Desk(stack), "killed-api")
    promoter.onboard()
    began = promoter.desk.position()
    calm = promoter.run("dev", "qa", "succeeded", key="calm")
    chosen = points(stack.journal(began), promoter.name, calm["id"])
    assert len(chosen) > 10
    for number, point in enumerate(chosen):
        promoter.desk.fault(**point.fault(promoter.name))
        key, position = f"kill-{number}", promoter.desk.position()
        asking = Thread(target=_ask_once, args=(promoter, key))  # the call may be one that the intake makes
        asking.start()
        held = until("a call is held", lambda at=position: _held(stack, at), 120)  # type: ignore[misc]
        assert held
        stack.kill_host()
        asking.join()
        stack.start_host()
        promoter.desk.heal()
        identifier = promoter.ask("dev", "qa", key).json()["id"]
        promoter.wait(identifier, "succeeded")
        _require_once(stack, promoter.name, identifier)
        print(f"promotion: {number + 1} of {len(chosen)} points survived", flush=True)  # noqa: T201 - the proof


def _ask_once(promoter: Promoter, key: str) -> None:
    with suppress(httpx.TransportError):
        promoter.ask("dev", "qa", key)


def _held(stack: Stack, position: int) -> bool | None:
    return any(entry["fault"] == "hold" for entry in stack.journal(position)) or None


def _require_once(stack: Stack, name: str, identifier: str) -> None:
    estate = Estate(stack)
    changes = estate.rows("change_request", f"correlation_id={identifier}")
    assert len([change for change in changes if change["state"] != "4"]) == 1
    runs = estate.github(f"/repos/contoso/{name}/actions/workflows/promote.yml/runs?per_page=100")["workflow_runs"]
    assert [run["display_title"] for run in runs].count(f"promote {identifier}-1 to qa") == 1
