"""Day-2 operations as a person asks for them, and a look at what they did."""

import json
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from local.sign_in import identity_token
from tests.e2e.driver import Desk, Document, until
from tests.e2e.estate import ARM, Estate

ENDED = ("succeeded", "observed", "partial", "parked", "refused", "rejected", "expired", "cancelled")
_TAGS = "/providers/Microsoft.Resources/tags/default?api-version=2025-04-01"


def ask(desk: Desk, name: str, operation: str, key: str, persona: str = "requester", **fields: object) -> Document:
    """Ask for an operation and wait for its end."""
    path = f"applications/{name}/operations/{operation}"
    answer = desk.call("POST", path, persona, fields, Idempotency_Key=key)
    assert answer.status_code == 202, answer.text
    return ended(desk, name, str(answer.json()["id"]))


def ended(desk: Desk, name: str, identifier: str) -> Document:
    """The operation at its end."""

    def look() -> Document | None:
        document: Document = desk.call("GET", f"applications/{name}/operations/{identifier}", "operator").json()
        return document if document["state"] in ENDED else None

    return until(f"{identifier} has ended", look)


def require_operable(desk: Desk, estate: Estate, request: Document) -> None:
    """Somebody takes a tag away and adds another: the one comes back, the other stays; the kill switch keeps it all."""
    name = request["application"]
    group = next(path for path in estate.tagged(request["id"]) if path.count("/") == 4)  # the group itself
    bearer = {"Authorization": f"Bearer {identity_token(desk.stack, ARM)}"}
    for operation, tags in (("Delete", {"cost-center": "CC-1001"}), ("Merge", {"legal-hold": "case 7"})):
        body = {"operation": operation, "properties": {"tags": tags}}
        desk.stack.vendors.patch(f"{ARM}{group}{_TAGS}", json=body, headers=bearer).raise_for_status()
    seen = ask(desk, name, "reconcile-tags", "seen", dryRun=True)
    assert (seen["state"], seen["counts"]["planned"]) == ("observed", 1), seen
    (action,) = desk.call("GET", f"applications/{name}/operations/{seen['id']}/actions", "requester").json()["actions"]
    assert action["calls"][0]["body"]["properties"]["tags"] == {"cost-center": "CC-1001"}
    switch = {"on": True, "reason": "something is wrong"}
    assert desk.call("PUT", "kill-switch", "requester", switch).status_code == 403
    assert desk.call("PUT", "kill-switch", "operator", switch).json()["on"] is True
    stopped = ask(desk, name, "reconcile-tags", "stopped")
    assert stopped["state"] == "refused", stopped
    assert "kill switch" in stopped["problem"]["detail"]
    desk.call("PUT", "kill-switch", "operator", switch | {"on": False})
    retried = desk.call("POST", f"applications/{name}/operations/{stopped['id']}/retry", "requester", {})
    assert retried.status_code == 202, retried.text
    done = ended(desk, name, stopped["id"])
    assert (done["state"], done["counts"]["done"]) == ("succeeded", 1), done
    tags = estate.azure(f"{group}{_TAGS}")["properties"]["tags"]
    assert (tags["cost-center"], tags["legal-hold"]) == ("CC-1001", "case 7")


def require_commanded(desk: Desk, name: str) -> None:
    """Commands over the queue: the same one five times is one operation, and one that is none is rejected and told."""
    body = json.dumps({"operation": "reconcile-tags", "application": name, "dryRun": True, "requestedBy": "Rae"})
    commands = [("once", body)] * 2 + [("twice", body), ("broken", "{")]
    with (
        ServiceBusClient.from_connection_string(desk.stack.service_bus) as client,
        client.get_queue_sender("commands") as sender,
    ):
        for identifier, text in commands:
            sender.send_messages(ServiceBusMessage(text, message_id=identifier, session_id=name), timeout=10)
            # Past the broker's own memory for duplicates: the register knows it for ever.
            original: dict[Any, Any] = {"original-id": identifier}
            copy = ServiceBusMessage(text, session_id=name, application_properties=original)
            sender.send_messages(copy, timeout=10)

    def rejected() -> Document | None:
        answer = desk.call("GET", "commands/dead-letters", "operator")
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.json()["rejected"] else None

    told = until("the last command of the session is rejected", rejected)
    assert "Invalid JSON" in told["rejected"][-1]["detail"]
    assert told["deadLetters"] == []
    assert desk.call("GET", "commands/dead-letters", "requester").status_code == 403
    listed = desk.call("GET", f"applications/{name}/operations", "operator").json()["operations"]
    asked = [desk.call("GET", f"applications/{name}/operations/{one['id']}", "operator").json() for one in listed]
    commanded = [operation for operation in asked if operation.get("occasion") == "command"]
    assert len(commanded) == 2, asked
    for operation in commanded:
        done = ended(desk, name, operation["id"])
        assert done["state"] in ("observed", "succeeded"), done  # the latter where nothing is left to do
