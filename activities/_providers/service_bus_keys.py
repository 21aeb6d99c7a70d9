"""The two keys of a shared access policy of Service Bus."""

import re

from activities._providers._key_pairs import ARM, GROUP, SEGMENT, KeyPair
from activities._providers.port import Credential, Turn
from shared.clients import service_bus_keys
from shared.guard import Permit
from shared.models.operations import PlannedCall


class ServiceBusKeys(KeyPair):
    """Keys of a policy of a namespace, a queue or a topic.

    Azure does not keep when a key was made: a repeat makes the one that nobody uses new once more.
    """

    kind = "service bus key"
    needs = "must name an authorisation rule of a Service Bus namespace, queue or topic, and PrimaryKey or SecondaryKey"
    address = re.compile(
        rf"(?P<holder>{GROUP}/Microsoft\.ServiceBus/namespaces/{SEGMENT})"
        rf"(?:/(?:queues|topics)/{SEGMENT})?/authorizationRules/{SEGMENT}",
        re.IGNORECASE,
    )
    keys = ("PrimaryKey", "SecondaryKey")
    field = re.compile(r"(?:^|;)SharedAccessKey=(?P<key>[^;]+)")

    def renewal(self, turn: Turn) -> PlannedCall:
        """The key is made new."""
        body = {"keyType": turn.credential}
        return PlannedCall(method="POST", target=f"{ARM}{turn.address}/regenerateKeys", body=body)

    retirement = renewal

    async def renew(self, turn: Turn, permit: Permit) -> Credential:
        """A new key, also at a repeat."""
        keys = await service_bus_keys.regenerate_key(turn.address, turn.credential, permit)
        return Credential(turn.credential, keys.value(turn.credential))

    async def read(self, turn: Turn) -> Credential | None:
        """The key as it is now."""
        keys = await service_bus_keys.list_keys(turn.address)
        return Credential(turn.credential, keys.value(turn.credential))

    async def authenticates(self, turn: Turn, credential: Credential) -> bool:
        """Whether the namespace accepts what the key signs."""
        return await service_bus_keys.authenticates(turn.address, credential.value)

    async def retire(self, turn: Turn, published: Credential, permit: Permit) -> None:
        """The key gets a value that is kept nowhere."""
        assert published.name != turn.credential, "what is published stays"  # noqa: S101 - a mix-up would lock out
        await service_bus_keys.regenerate_key(turn.address, turn.credential, permit)
