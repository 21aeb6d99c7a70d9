"""What each kind of event asks for, by the rules as they are shipped."""

import pytest

from shared.event_rules import UnreadableEventError, owner_of, wish_of
from shared.models.day2_alerts import RespondToAlert
from shared.models.events import ReceivedEvent

GROUP = "/subscriptions/s/resourceGroups/rg-orders-api-prod"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-orders"
SITE = f"{GROUP}/providers/Microsoft.Web/sites/orders"


def vault_event(kind: str, **changes: str) -> ReceivedEvent:
    """As Key Vault tells of a secret, a key or a certificate.

    https://learn.microsoft.com/azure/event-grid/event-schema-key-vault
    """
    data = {"Id": "https://kv-orders.vault.azure.net/x/one/v1", "VaultName": "kv-orders", "ObjectName": "one"}
    fields = data | {"Version": "v1", "EXP": "1798761600"} | changes
    return ReceivedEvent(
        source="event-grid", id="1", topic=VAULT, subject="one", kind=f"Microsoft.KeyVault.{kind}", time="", data=fields
    )


def resource_event(kind: str, **data: str) -> ReceivedEvent:
    """As Azure Resource Manager and Azure Policy tell of a resource."""
    topic = "/subscriptions/s"
    return ReceivedEvent(source="event-grid", id="1", topic=topic, subject=SITE, kind=kind, time="", data=data)


@pytest.mark.parametrize("when", ["NearExpiry", "Expired"])
def test_a_secret_near_its_end_is_rotated_once_for_each_version(when: str) -> None:
    wish = wish_of(vault_event(f"Secret{when}"))
    assert wish is not None
    assert wish.operation == "rotate-secret"
    assert wish.parameters == {"vault": "kv-orders", "secret": "one", "version": "v1"}
    assert wish.business_key == "kv-orders/one/v1"
    assert owner_of(wish.resource) == ("orders-api", "prod")


@pytest.mark.parametrize("when", ["NearExpiry", "Expired"])
@pytest.mark.parametrize("thing", ["Key", "Certificate"])
def test_keys_and_certificates_near_their_end_are_answered_as_alerts(thing: str, when: str) -> None:
    wish = wish_of(vault_event(f"{thing}{when}"))
    assert wish is not None
    assert wish.operation == "respond-to-alert"
    asked = RespondToAlert.model_validate(wish.parameters)
    kind = thing.lower()
    assert (asked.rule, asked.target) == (f"{kind}-near-expiry", VAULT)
    assert asked.fingerprint == f"{kind}:kv-orders/one/v1"
    assert wish.business_key == f"kv-orders/{kind}s/one/v1", "near the end and at the end: one answer"


def test_one_name_for_key_secret_and_certificate_are_three_wishes() -> None:
    wishes = [wish_of(vault_event(f"{thing}NearExpiry")) for thing in ("Secret", "Key", "Certificate")]
    assert len({wish.business_key for wish in wishes if wish}) == 3


def test_an_event_of_another_vault_than_its_topic_is_not_believed() -> None:
    with pytest.raises(UnreadableEventError, match="the event of the vault kv-other has another topic"):
        wish_of(vault_event("SecretNearExpiry", VaultName="kv-other"))


def test_what_an_event_lacks_is_named() -> None:
    with pytest.raises(UnreadableEventError, match=r"Microsoft\.Resources\.ResourceWriteSuccess has no correlationId"):
        wish_of(resource_event("Microsoft.Resources.ResourceWriteSuccess"))


@pytest.mark.parametrize(
    ("kind", "data", "operation"),
    [
        ("Microsoft.Resources.ResourceWriteSuccess", {"correlationId": "c"}, "reconcile-tags"),
        ("Microsoft.Resources.ResourceDeleteSuccess", {"correlationId": "c"}, None),
        ("Microsoft.Resources.ResourceActionSuccess", {"correlationId": "c"}, None),
        ("Microsoft.PolicyInsights.PolicyStateChanged", {"complianceState": "NonCompliant"}, "remediate-compliance"),
        ("Microsoft.PolicyInsights.PolicyStateCreated", {"complianceState": "NonCompliant"}, "remediate-compliance"),
        ("Microsoft.PolicyInsights.PolicyStateChanged", {"complianceState": "Compliant"}, None),
        ("Microsoft.KeyVault.SecretNewVersionCreated", {}, None),
    ],
)
def test_each_kind_of_event_of_resources_and_policies(kind: str, data: dict[str, str], operation: str | None) -> None:
    assignment = {"policyAssignmentId": "a", "policyDefinitionId": "d", "timestamp": "t"}
    wish = wish_of(resource_event(kind, **data, **assignment))
    assert (wish.operation if wish else None) == operation
