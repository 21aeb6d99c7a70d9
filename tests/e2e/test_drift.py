"""Somebody changes things in Azure past the pipeline: what matters is found, told once, and closed when it is gone."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.sign_in import GITHUB, identity_token
from local.stack import Stack
from tests.e2e.driver import Desk, Document, until
from tests.e2e.estate import ARM, SUBSCRIPTION, Estate
from tests.e2e.operations import ended

NAME = "drift-api"
VAULT, SERVER, ANY = "2026-05-15", "2026-10-01", "2025-04-01"


class Azure:
    """The portal in the hands of somebody who means well."""

    def __init__(self, stack: Stack, name: str = NAME) -> None:
        self.group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{name}-dev"
        self._vendors = stack.vendors
        self._headers = {"Authorization": f"Bearer {identity_token(stack, ARM)}"}

    def call(self, method: str, path: str, version: str, body: Any = None) -> Document:
        answer = self._vendors.request(method, f"{ARM}{path}?api-version={version}", json=body, headers=self._headers)
        assert answer.status_code < 300, answer.text
        document: Document = answer.json()
        return document

    def resources(self) -> list[str]:
        """Ids of what lies in the application's group."""
        return [str(item["id"]) for item in self.call("GET", f"{self.group}/resources", ANY)["value"]]

    def only(self, kind: str) -> str:
        """The one resource of a kind."""
        return next(item for item in self.resources() if f"/{kind}/" in item and item.count("/") == 8)

    def change(self, path: str, version: str, work: Callable[[Document], None]) -> None:
        """Read, change and write an object."""
        document = self.call("GET", path, version)
        work(document)
        self.call("PUT", path, version, {name: document[name] for name in document if name in WRITTEN})

    def tag(self, path: str, tags: dict[str, str]) -> None:
        """Add tags, or change them."""
        body = {"operation": "Merge", "properties": {"tags": tags}}
        self.call("PATCH", f"{path}/providers/Microsoft.Resources/tags/default", ANY, body)


class Team:
    """The people at GitHub, each with a token of their own, and what they see of the proposals."""

    place = f"/repos/contoso/{NAME}"

    def __init__(self, desk: Desk, stack: Stack) -> None:
        self._desk, self._stack = desk, stack

    def call(self, method: str, path: str, name: str, body: Document) -> httpx.Response:
        """A call as somebody who signs in with this account."""
        token = f"ghp_{name}"
        grant = {"actor": f"{name}-at-contoso", "repositories": None, "expires": time.time() + 3600}
        key = f"tokens/{hashlib.sha256(token.encode()).hexdigest()}"
        self._stack.vendors_admin("POST", "seed", {"github": {key: grant}})
        headers = {"Authorization": f"Bearer {token}"}
        return self._stack.vendors.request(method, f"{GITHUB}{self.place}{path}", json=body, headers=headers)

    def pulls(self) -> list[Document]:
        """Newest first."""
        found: list[Document] = Estate(self._stack).github(f"{self.place}/pulls?state=all")
        return found

    def proposal(self) -> Document:
        """As the App Store shows it."""
        (found,) = self._desk.call("GET", f"applications/{NAME}/drift", "operator").json()["proposals"]
        return dict(found)


def run_timer(stack: Stack, name: str) -> None:
    """Let a timer fire now, as an operator does."""
    key = json.loads((stack.directory / "host" / "keys.json").read_text(encoding="utf-8"))["master"]
    answer = stack.api.post(f"/admin/functions/{name}", json={"input": ""}, headers={"x-functions-key": key})
    assert answer.status_code == 202, answer.text


WRITTEN = {"location", "tags", "sku", "properties", "kind", "identity"}


def detect(desk: Desk, key: str, name: str = NAME, **fields: Any) -> Document:
    """Ask for a detection and wait for its end."""
    path = f"applications/{name}/operations"
    asked = {"environment": "dev", **fields}
    answer = desk.call("POST", f"{path}/detect-drift", "operator", asked, Idempotency_Key=key)
    assert answer.status_code == 202, answer.text

    def ended() -> Document | None:
        document: Document = desk.call("GET", f"{path}/{answer.json()['id']}", "operator").json()
        return None if document["state"] in ("received", "surveying", "acting") else document

    return until("the detection ends", ended, 120)


def known(desk: Desk, state: str, name: str = NAME) -> dict[str, str]:
    """Severities of the findings in a state."""
    found = desk.call("GET", f"applications/{name}/drift", "operator").json()["findings"]
    return {item["attribute"]: item["severity"] for item in found if item["state"] == state}


def require_put_right_by_a_merge(desk: Desk, team: Team) -> None:
    """The team reviews and merges; somebody else approves the plan; everything is closed."""
    proposal = team.proposal()
    pull = team.pulls()[0]
    assert (pull["state"], pull["number"], pull["head"]["ref"]) == ("open", proposal["number"], "drift/dev")
    assert '`network_acls[0].ip_rules` | `["203.0.113.9"]`' in pull["body"]
    assert team.call("PUT", f"/pulls/{pull['number']}/merge", "finops", {}).status_code == 405, "main is protected"
    team.call("POST", f"/pulls/{pull['number']}/reviews", "approver", {"event": "APPROVE"}).raise_for_status()
    squashed = {"merge_method": "squash"}
    team.call("PUT", f"/pulls/{pull['number']}/merge", "finops", squashed).raise_for_status()
    for _ in range(2):
        run_timer(desk.stack, "watch_drift_proposals")
    until("the merge is seen", lambda: team.proposal()["state"] == "merged" or team.proposal()["operation"] or None)
    for _ in range(2):
        run_timer(desk.stack, "sweep")
    identifier = until("the sweep asks", lambda: team.proposal()["operation"])
    operation = f"applications/{NAME}/operations/{identifier}"

    def waits() -> Document | None:
        document: Document = desk.call("GET", operation, "operator").json()
        return document if document["state"] not in ("received", "surveying") else None

    waiting = until("the plan waits", waits, 120)
    assert (waiting["state"], waiting["requester"]) == ("awaiting_approval", "finops-at-contoso"), waiting
    given = {"digest": waiting["digest"]}
    refused = desk.call("POST", f"{operation}/approve", "finops", given)
    assert (refused.status_code, refused.json()["detail"]) == (403, "The requester cannot approve.")
    assert desk.call("POST", f"{operation}/approve", "approver", given).status_code == 202
    assert ended(desk, NAME, identifier)["state"] == "succeeded"
    assert team.proposal()["state"] == "closed"
    assert [bool(item["merged_at"]) for item in team.pulls()] == [True, False]
    assert Estate(desk.stack).github(f"{team.place}/git/ref/heads/drift/dev") is None
    listed = desk.call("GET", f"applications/{NAME}/operations", "operator").json()["operations"]
    assert [item["requester"] for item in listed].count("finops-at-contoso") == 1, "asked for once"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_three_changes_among_forty_harmless_ones_are_found_told_once_and_closed_when_gone(
    desk: Desk, stack: Stack
) -> None:
    request = desk.onboard(NAME)
    assert request["state"] == "succeeded", request["problem"]
    azure, estate, team = Azure(stack), Estate(stack), Team(desk, stack)

    def issues() -> list[str]:
        listed = estate.github(f"/repos/contoso/{NAME}/issues?state=all&labels=drift")
        return [str(item["state"]) for item in listed]

    clean = detect(desk, "clean")
    assert (clean["state"], known(desk, "open"), issues()) == ("succeeded", {}, []), clean

    vault, server = azure.only("vaults"), azure.only("flexibleServers")
    firewall, size = (
        azure.call("GET", vault, VAULT)["properties"]["networkAcls"],
        azure.call("GET", server, SERVER)["sku"],
    )

    def set_firewall(addresses: list[dict[str, str]]) -> Callable[[Document], None]:
        return lambda document: document["properties"].update(networkAcls={**firewall, "ipRules": addresses})

    azure.change(vault, VAULT, set_firewall([{"value": "203.0.113.7"}]))
    azure.change(
        server, SERVER, lambda document: document.update(sku={"name": "Standard_D4ds_v5", "tier": "GeneralPurpose"})
    )
    azure.tag(azure.group, {"cost-center": "CC-9999"})
    tagged = [path for path in azure.resources() if (azure.call("GET", path, ANY).get("tags") or {}).get("application")]
    for path in tagged:
        azure.tag(path, {f"hidden-link-app-{number}": "Resource" for number in range(-(-40 // len(tagged)))})

    three = {"tags.cost-center": "low", "sku_name": "high", "network_acls[0].ip_rules": "critical"}
    for key in ("first", "second"):
        found = detect(desk, key)
        assert found["state"] == "succeeded", found["problem"]
        assert known(desk, "open") == three
        assert issues() == ["open"] * 3, "one for each, however often it is found"
    assert found["facts"]["harmless"] >= 40

    azure.change(vault, VAULT, set_firewall([]))
    azure.change(server, SERVER, lambda document: document.update(sku=size))
    azure.tag(azure.group, {"cost-center": "CC-1001"})
    assert detect(desk, "third")["state"] == "succeeded"
    assert (known(desk, "open"), known(desk, "closed")) == ({}, three)
    assert issues() == ["closed"] * 3

    azure.tag(azure.group, {"cost-center": "CC-9999"})
    repaired = detect(desk, "fourth")
    assert (repaired["state"], repaired["counts"]["done"]) == ("succeeded", 1), repaired
    assert azure.call("GET", azure.group, ANY)["tags"]["cost-center"] == "CC-1001", "only a tag: put right at once"
    assert (known(desk, "open"), issues()) == ({}, ["closed"] * 3), "it came back as the same finding"
    assert [pull["state"] for pull in team.pulls()] == ["closed"], "one while the three were there, none for a tag"

    azure.change(vault, VAULT, set_firewall([{"value": "203.0.113.9"}]))
    assert detect(desk, "fifth")["state"] == "succeeded"
    require_put_right_by_a_merge(desk, team)
    assert not azure.call("GET", vault, VAULT)["properties"]["networkAcls"].get("ipRules")
    assert (known(desk, "open"), issues()) == ({}, ["closed"] * 3)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_environment_of_a_deployment_stack_is_compared_too(desk: Desk, stack: Stack) -> None:
    name = "drift-stack-api"
    parameters = {"database": "none", "publicEndpoint": True}
    request = desk.onboard(name, region="northeurope", parameters=parameters)
    assert request["state"] == "succeeded", request["problem"]
    azure = Azure(stack, name)
    clean = detect(desk, "stack-clean", name)
    assert (clean["state"], known(desk, "open", name)) == ("succeeded", {}), clean

    azure.tag(azure.group, {"cost-center": "CC-9999"})
    vault = azure.only("vaults")
    opened = {"defaultAction": "Allow", "bypass": "AzureServices"}
    azure.change(vault, VAULT, lambda document: document["properties"].update(networkAcls=opened))
    for key in ("stack-first", "stack-second"):
        found = detect(desk, key, name, parameters={"reconcile": "none"})
        assert found["state"] == "succeeded", found["problem"]
        assert known(desk, "open", name) == {"tags.cost-center": "low", "network_acls[0].default_action": "critical"}

    closed = {**opened, "defaultAction": "Deny"}
    azure.change(vault, VAULT, lambda document: document["properties"].update(networkAcls=closed))
    repaired = detect(desk, "stack-third", name)
    assert (repaired["state"], repaired["counts"]["done"]) == ("succeeded", 1), repaired
    assert azure.call("GET", azure.group, ANY)["tags"]["cost-center"] == "CC-1001"
    assert known(desk, "open", name) == {}
