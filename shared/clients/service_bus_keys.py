"""The two keys of a shared access policy of Service Bus.

Documentation: https://learn.microsoft.com/rest/api/servicebus/controlplane/namespaces-authorization-rules/regenerate-keys
and https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

import base64
import hashlib
import hmac
import re
import time
from urllib.parse import quote_plus

from pydantic import Field

from shared.clients._arm import arm
from shared.clients._http import Call, Vendor
from shared.errors import PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model
from shared.settings import USER_AGENT

_VERSION, _DATA_VERSION = "2024-01-01", "2021-05"
_SECONDS = 120
_WRONG = re.compile(r"40103|InvalidSignature")
_RIGHT = re.compile(r"claims?(\(s\))? (is |are )?required", re.IGNORECASE)
_NAMESPACE, _RULE = (
    re.compile(r"/namespaces/([^/]+)", re.IGNORECASE),
    re.compile(r"/authorizationrules/", re.IGNORECASE),
)
_ENTITY = re.compile(r"/namespaces/[^/]+/(?:queues|topics)/([^/]+)/authorizationrules/", re.IGNORECASE)
_ARM = arm()


class PolicyKeys(Model):
    """Both keys of a policy; no text that is made of it shows them."""

    primary_key: str = Field(repr=False)
    secondary_key: str = Field(repr=False)

    def value(self, key_type: str) -> str:
        """One key by its type, ``PrimaryKey`` or ``SecondaryKey``."""
        return self.primary_key if key_type == "PrimaryKey" else self.secondary_key


async def list_keys(policy: str) -> PolicyKeys:
    """The keys of a policy (its ARM id).

    Raises:
        NotFoundError: there is no such policy.
    """
    call = Call("list service bus keys", "POST", f"{policy}/listKeys", params={"api-version": _VERSION})
    return await _ARM.read(call, PolicyKeys)


async def regenerate_key(policy: str, key_type: str, permit: Permit) -> PolicyKeys:
    """Replace one key; whoever uses its old value is locked out at once. Each call makes another value."""
    path, body = f"{policy}/regenerateKeys", {"keyType": key_type}
    call = Call(f"regenerate {permit.action.kind}", "POST", path, body, params={"api-version": _VERSION})
    return await _ARM.read(call, PolicyKeys)


async def authenticates(policy: str, key: str) -> bool:
    """Whether the namespace accepts what this key of a policy (its ARM id) signs; nothing is sent or received.

    A policy without the right to manage is told so only after its signature was accepted: that proves the key, too.

    Documentation: https://learn.microsoft.com/rest/api/servicebus/get-entity

    Raises:
        PermanentIntegrationError: the namespace refuses for a reason that says nothing of the key.
    """
    found, entity = _NAMESPACE.search(policy), _ENTITY.search(policy)
    assert found is not None, "the caller passes the id of a policy"  # noqa: S101 - checked by the provider
    host = f"{found.group(1).lower()}.servicebus.windows.net"
    path = f"/{entity.group(1)}" if entity else "/$namespaceinfo"
    place = f"https://{host}/{entity.group(1).lower()}" if entity else f"https://{host}/"
    token = signature(place, _RULE.split(policy)[-1], key, int(time.time()) + _SECONDS)

    async def authorise() -> dict[str, str]:
        return {"Authorization": token, "User-Agent": USER_AGENT}

    vendor = Vendor("service bus", f"https://{host}", authorise)
    call = Call("get entity", "GET", path, params={"api-version": _DATA_VERSION}, expect=(200, 401))
    answer = await vendor.call(call)
    text = str(answer.body)
    if answer.status == 200 or _RIGHT.search(text):  # noqa: PLR2004 - HTTP status
        return True
    if _WRONG.search(text):
        return False
    raise PermanentIntegrationError(
        VendorCall("service bus", call.operation, answer.status), "refused, and not the key"
    )


def signature(place: str, policy: str, key: str, expires: int) -> str:
    """A shared access signature for a resource.

    Documentation: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas#generate-a-shared-access-signature-token
    """
    resource = quote_plus(place)
    digest = hmac.new(key.encode(), f"{resource}\n{expires}".encode(), hashlib.sha256).digest()
    signed = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={resource}&sig={signed}&se={expires}&skn={quote_plus(policy)}"
