"""What secrets hold is recognised, and written anew in the same form."""

import base64
import hashlib
import hmac
from urllib.parse import parse_qs

import pytest

from activities._providers import ALTERNATE, CREDENTIAL, Credential, provider_of
from shared.clients.service_bus_keys import signature

GROUP = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-pay-dev/providers"
ACCOUNT = f"{GROUP}/Microsoft.Storage/storageAccounts/stpay"
POLICY = f"{GROUP}/Microsoft.ServiceBus/namespaces/sb-pay/queues/orders/authorizationRules/worker"
SERVER = f"{GROUP}/Microsoft.DBforPostgreSQL/flexibleServers/pg-pay"
APPLICATION = "https://graph.microsoft.com/v1.0/applications/0b1f2d3c-0000-4000-8000-000000000001"

FORMS = [
    (ACCOUNT, "b2xk==", "bmV3==", "bmV3=="),
    (
        ACCOUNT,
        "DefaultEndpointsProtocol=https;AccountName=stpay;AccountKey=b2xk==;EndpointSuffix=core.windows.net",
        "bmV3==",
        "DefaultEndpointsProtocol=https;AccountName=stpay;AccountKey=bmV3==;EndpointSuffix=core.windows.net",
    ),
    (
        POLICY,
        "Endpoint=sb://sb-pay.servicebus.windows.net/;SharedAccessKeyName=worker;SharedAccessKey=b2xk=",
        "bmV3=",
        "Endpoint=sb://sb-pay.servicebus.windows.net/;SharedAccessKeyName=worker;SharedAccessKey=bmV3=",
    ),
    (SERVER, "old", "new", "new"),
    (SERVER, "postgresql://pay_a:old@pg-pay/pay?a=b", "new", "postgresql://pay_b:new@pg-pay/pay?a=b"),
    (SERVER, "host=pg-pay user=pay_a password=old dbname=pay", "new", "host=pg-pay user=pay_b password=new dbname=pay"),
    (
        SERVER,
        "Host=pg;User Id=pay_a;Password=old;Pooling=true",
        "new",
        "Host=pg;User Id=pay_b;Password=new;Pooling=true",
    ),
    (SERVER, "Password=old;Username=pay_a;Host=pg", "new", "Password=new;Username=pay_b;Host=pg"),
    (APPLICATION, "old", "new", "new"),
]


@pytest.mark.parametrize(("address", "before", "value", "after"), FORMS)
def test_a_value_keeps_its_form(address: str, before: str, value: str, after: str) -> None:
    provider = provider_of(address)
    assert provider is not None
    assert provider.written(before, Credential("pay_b", value)) == after
    assert provider.shown(after) == value
    assert value not in repr(Credential("pay_b", value))


@pytest.mark.parametrize(
    "address",
    [
        "",
        f"{ACCOUNT}/../../x",
        f"{ACCOUNT}/fileServices/default",
        f"{POLICY}?x=1",
        POLICY.rpartition("/authorizationRules")[0],
        f"{SERVER}/databases/pay",
        APPLICATION.replace("graph.microsoft.com", "graph.microsoft.com.example.org"),
        f"{APPLICATION}/owners",
        "https://management.azure.com" + ACCOUNT,
    ],
)
def test_an_address_of_anything_else_is_nobodys(address: str) -> None:
    assert provider_of(address) is None


@pytest.mark.parametrize(
    ("address", "tags", "other"),
    [
        (ACCOUNT, {CREDENTIAL: "key2"}, "key1"),
        (ACCOUNT, {CREDENTIAL: "key3"}, None),
        (POLICY, {CREDENTIAL: "PrimaryKey"}, "SecondaryKey"),
        (SERVER, {CREDENTIAL: "pay_a", ALTERNATE: "pay_b"}, "pay_b"),
        (SERVER, {CREDENTIAL: "pay_a"}, None),
        (SERVER, {CREDENTIAL: "pay_a", ALTERNATE: "pay_a"}, None),
        (SERVER, {CREDENTIAL: "pay_a", ALTERNATE: 'x"; DROP ROLE pay_a; --'}, None),
        (APPLICATION, {CREDENTIAL: "0b1f2d3c-0000-4000-8000-000000000002"}, ""),
        (APPLICATION, {CREDENTIAL: "key1"}, None),
    ],
)
def test_whose_turn_it_is(address: str, tags: dict[str, str], other: str | None) -> None:
    provider = provider_of(address)
    assert provider is not None
    assert provider.alternate(tags) == other


def test_a_signature_is_what_microsoft_describes() -> None:
    token = signature("https://sb-pay.servicebus.windows.net/orders", "worker", "c2VjcmV0", 1_800_000_000)
    kind, _, fields = token.partition(" ")
    found = {name: values[0] for name, values in parse_qs(fields).items()}
    text = b"https%3A%2F%2Fsb-pay.servicebus.windows.net%2Forders\n1800000000"
    signed = base64.b64encode(hmac.digest(b"c2VjcmV0", text, hashlib.sha256)).decode()
    assert (kind, found["sig"], found["se"], found["skn"]) == ("SharedAccessSignature", signed, "1800000000", "worker")
