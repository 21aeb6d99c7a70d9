"""Azure Policy that gives vaults their events: what it deploys, and what a broken deployment leads to."""

import copy
import json
import re
from typing import Any

import pytest
import yaml
from bicep_cost.engine import DeploymentSettings, Engine

from shared.canonical import sha256_hex
from shared.clean_up_kinds import KINDS
from shared.names import vault_topic
from shared.rule_set import RULES
from tests.infra.azure_policy import Document, definition_faults
from tests.infra.conftest import INFRA, ROOT
from tests.sdk_models import complaints

DEFINITION: Document = json.loads((RULES / "azure_policy" / "definitions" / "vault-events.json").read_text())
DETAILS: Document = DEFINITION["properties"]["policyRule"]["then"]["details"]
DEPLOYED: Document = DETAILS["deployment"]["properties"]
CONFIG: Document = json.loads((RULES / "rego" / "config.json").read_text())["config"]
MODELS = {
    "Microsoft.EventGrid/systemTopics": ("eventgrid", "SystemTopic"),
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": ("eventgrid", "EventSubscription"),
}
APP = "/subscriptions/10000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers"
VAULT: Document = {
    "name": "kv-payments-dev-1a2b3c",
    "id": "/subscriptions/1/resourceGroups/rg-x-dev/providers/Microsoft.KeyVault/vaults/kv-payments-dev-1a2b3c",
    "location": "westeurope",
    "tags": dict.fromkeys(CONFIG["plan"]["required_tags"], "x"),
}
GIVEN = {
    "functionId": f"{APP}/Microsoft.Web/sites/func-appstore/functions/take_key_vault_event",
    "deadLetterAccountId": f"{APP}/Microsoft.Storage/storageAccounts/stappstore",
    "deadLetterContainer": "event-dead-letters",
}


def value_of(expression: Any) -> Any:
    """What Azure Policy makes of an expression about the vault and the assignment's parameters."""
    engine = Engine(DeploymentSettings(subscription_id="1"))
    text = re.sub(r"field\('(\w+)'\)", r"parameters('\1')", str(expression))
    values = VAULT | GIVEN
    template = {
        "parameters": {
            name: {"type": "object" if isinstance(item, dict) else "string"} for name, item in values.items()
        },
        "resources": [{"type": "A.B/c", "apiVersion": "2024-01-01", "name": "x", "properties": {"value": text}}],
    }
    engine.expand(template, values)
    return engine.resources[0].body["properties"]["value"]


def deployed() -> list[Any]:
    """What a deployment for the vault makes."""
    engine = Engine(DeploymentSettings(subscription_id="1"))
    engine.expand(
        DEPLOYED["template"], {name: value_of(item["value"]) for name, item in DEPLOYED["parameters"].items()}
    )
    return list(engine.resources)


def test_every_body_is_one_that_the_sdk_knows() -> None:
    resources = deployed()
    assert [item.type for item in resources] == list(MODELS)
    for item in resources:
        body = {key: value for key, value in item.body.items() if key not in ("id", "name", "type", "apiVersion")}
        assert complaints(*MODELS[item.type], body) == []
        wrong = copy.deepcopy(body)
        wrong["properties"]["topik"] = "x"
        assert any("topik" in text for text in complaints(*MODELS[item.type], wrong))


def test_the_topic_is_the_vaults_own_and_may_be_there() -> None:
    topic, _ = deployed()
    assert topic.body["properties"] == {"source": VAULT["id"], "topicType": "Microsoft.KeyVault.vaults"}
    assert topic.body["location"] == VAULT["location"], "a system topic is where its source is"
    assert topic.body["tags"] == VAULT["tags"], "the initiative denies resources without the required tags"
    assert topic.name == vault_topic(VAULT["name"]), "by this name an undo finds it"
    assert re.fullmatch(r"[A-Za-z0-9-]{3,128}", vault_topic("k" * 24))
    assert topic.type not in {kind.type for kind in KINDS}, "the clean-up never sees it as an orphan"


def test_what_it_looks_for_is_what_it_makes() -> None:
    _, subscription = deployed()
    assert DETAILS["type"] == subscription.type
    assert value_of(DETAILS["name"]) == subscription.name, "else it would deploy at every evaluation"
    assert DETAILS["type"].count("/") == value_of(DETAILS["name"]).count("/") + 1
    assert "existenceCondition" not in DETAILS, "properties of subscriptions have no alias that can be relied upon"
    assert "existenceScope" not in DETAILS, "the topic lies in the vault's group"


def test_it_hears_of_exactly_what_the_intake_knows() -> None:
    _, subscription = deployed()
    rules = yaml.safe_load((RULES / "events.yaml").read_text())["events"]
    known = {kind for rule in rules for kind in rule["kinds"] if kind.startswith("Microsoft.KeyVault.")}
    assert set(subscription.body["properties"]["filter"]["includedEventTypes"]) == known
    assert known >= {
        f"Microsoft.KeyVault.{one}{what}"
        for one in ("Secret", "Key", "Certificate")
        for what in ("NearExpiry", "Expired")
    }


def test_it_delivers_as_the_other_subscriptions_do() -> None:
    _, subscription = deployed()
    made, bicep = subscription.body["properties"], (INFRA / "app" / "events-topics.bicep").read_text()
    for place, names in (
        (made["destination"]["properties"], ("maxEventsPerBatch", "preferredBatchSizeInKilobytes")),
        (made["retryPolicy"], ("eventTimeToLiveInMinutes", "maxDeliveryAttempts")),
    ):
        assert place == place | {name: int(re.findall(rf"{name}: (\d+)", bicep)[0]) for name in names}
    assert made["destination"]["properties"]["resourceId"] == GIVEN["functionId"]
    assert made["deadLetterDestination"]["properties"] == {
        "resourceId": GIVEN["deadLetterAccountId"],
        "blobContainerName": GIVEN["deadLetterContainer"],
    }
    triggers = "".join(path.read_text() for path in sorted((ROOT / "triggers").glob("event_grid_*.py")))
    stack = (INFRA / "policy" / "vault_events.tf").read_text()
    [function] = re.findall(r"\}/functions/(\w+)", stack)
    assert f'event_grid_function("{function}")' in triggers


def test_another_subscription_has_another_name() -> None:
    """Nobody looks at what a subscription says, only whether it is there: a change needs a new name."""
    kept = json.dumps(DEPLOYED["template"]["resources"], sort_keys=True)
    assert (value_of(DETAILS["name"]).rpartition("/")[2], sha256_hex(kept.encode())[:12]) == (
        "appstore-1",
        "5960681a82a7",
    )


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("type",), "", "details.type"),
        (("roleDefinitionIds",), ..., "details.roleDefinitionIds"),
        (("roleDefinitionIds",), ["Contributor"], "'Contributor' is no role"),
        (("evaluationDelay",), "Later", "Later is unknown"),
        (("existenceScope",), "Tenant", "Tenant is unknown"),
        (("existenceCondition",), {"field": "type"}, "existenceCondition: exactly one operator"),
        (("name",), "[parameters('vault')]", "vault is used and not declared"),
        (("deployment", "properties", "mode"), "complete", "deployment.mode"),
        (("deployment", "properties", "template", "resources"), [], "has no resources"),
        (("deployment", "properties", "parameters", "vaultId"), ..., "vaultid needs a value"),
        (("deployment", "properties", "parameters", "vault"), {"value": "x"}, "the template has no vault"),
        (
            ("deployment", "properties", "parameters", "tags", "value"),
            "[parameters('tag')]",
            "tag is used and not declared",
        ),
        (("deployment", "properties", "template", "parameters", "location"), ..., "location is used and not declared"),
    ],
)
def test_a_broken_deployment_is_refused(path: tuple[str, ...], value: Any, said: str) -> None:
    definition = copy.deepcopy(DEFINITION)
    place = definition["properties"]["policyRule"]["then"]["details"]
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert said in " ".join(definition_faults(definition))
