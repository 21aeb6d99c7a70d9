"""The topic that Azure Policy makes for a vault keeps no environment from being removed; another resource does."""

import pytest

from local.sign_in import identity_token
from local.stack import Stack
from tests.e2e.driver import Desk
from tests.e2e.estate import ARM, Estate

TOPICS, IDENTITIES = "2025-02-15", "2024-11-30"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_undo_takes_the_topic_of_the_vault_with_the_group_and_nothing_that_others_put_there(
    desk: Desk, stack: Stack
) -> None:
    request = desk.onboard("topical-api")
    assert request["state"] == "succeeded", request["problem"]
    group = next(path for path in Estate(stack).tagged(request["id"]) if path.count("/") == 4)

    def azure(method: str, path: str, version: str, body: object = None) -> int:
        headers = {"Authorization": f"Bearer {identity_token(stack, ARM)}"}
        return stack.vendors.request(
            method, f"{ARM}{path}?api-version={version}", json=body, headers=headers
        ).status_code

    [vault] = [path for path in Estate(stack).tagged(request["id"]) if "/vaults/" in path]
    topic = f"{group}/providers/Microsoft.EventGrid/systemTopics/evgt-{vault.rpartition('/')[2]}"
    tags = {"appstore-request-id": request["id"], "application": "topical-api"}
    properties = {"source": vault, "topicType": "Microsoft.KeyVault.vaults"}
    made = {"location": "westeurope", "tags": tags, "properties": properties}
    identity = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-of-somebody"
    assert azure("PUT", topic, TOPICS, made) in (200, 201)
    assert azure("PUT", identity, IDENTITIES, {"location": "westeurope"}) in (200, 201)
    assert desk.decide(request["id"], "undo").status_code == 202
    stopped = desk.wait(request["id"], "parked", "undone", seconds=240)
    assert stopped["state"] == "parked", "the group holds what somebody else put there"
    assert azure("GET", topic, TOPICS) == 404
    assert azure("DELETE", identity, IDENTITIES) in (200, 202, 204)
    assert azure("PUT", topic, TOPICS, made) in (200, 201), "Azure Policy was at work once more"
    assert desk.decide(request["id"], "undo").status_code == 202
    assert desk.wait(request["id"], "undone", "parked", seconds=240)["state"] == "undone"
    assert azure("GET", group, "2025-04-01") == 404
