"""Passwords ("client secrets") of applications in Microsoft Entra ID.

Needs the application permission Application.ReadWrite.OwnedBy, and that our identity is an owner of the application.
Documentation: https://learn.microsoft.com/graph/api/application-addpassword and
https://learn.microsoft.com/graph/api/application-removepassword
"""

from pydantic import Field

from shared.clients._http import Call, Vendor, azure_headers
from shared.credential import own_claims
from shared.errors import NotAuthorizedError, NotFoundError, PermanentIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model

BASE = "https://graph.microsoft.com"
_SCOPE = f"{BASE}/.default"
_WRONG = frozenset({7000215, 7000222})  # not one of its passwords; one that is over


class Password(Model):
    """A password as a listing shows it: without its text."""

    key_id: str
    display_name: str | None = None
    start_date_time: str = ""


class Application(Model):
    """An application and its passwords."""

    id: str
    app_id: str
    tags: list[str] = []
    password_credentials: list[Password] = []


class NewPassword(Model):
    """A password that was made just now: the only time that its text is shown."""

    key_id: str
    secret_text: str = Field(repr=False, min_length=1)


class _Refusal(Model):
    error_codes: list[int] = Field(default=[], alias="error_codes")


async def _authorise() -> dict[str, str]:
    return await azure_headers(_SCOPE)


async def _anonymous() -> dict[str, str]:
    return {}


def _graph() -> Vendor:
    return Vendor("microsoft graph", BASE, _authorise)


async def read_application(path: str) -> Application:
    """An application by its path, ``/v1.0/applications/<object id>``.

    Raises:
        NotFoundError: there is none.
    """
    params = {"$select": "id,appId,tags,passwordCredentials"}
    return await _graph().read(Call("get application", "GET", path, params=params), Application)


async def add_password(path: str, name: str, until: str, permit: Permit) -> NewPassword:
    """Add a password that works until a moment (ISO 8601). Each call adds another one, also after a lost answer."""
    body = {"passwordCredential": {"displayName": name, "endDateTime": until}}
    call = Call(f"add {permit.action.kind}", "POST", f"{path}/addPassword", body, expect=(200,))
    return await _graph().read(call, NewPassword)


async def remove_password(path: str, key_id: str, permit: Permit) -> None:
    """Remove a password; one that is not there any more is success."""
    call = Call(f"remove {permit.action.kind}", "POST", f"{path}/removePassword", {"keyId": key_id}, expect=(204,))
    try:
        await _graph().call(call)
    except NotFoundError:
        raise
    except NotAuthorizedError:
        raise
    except PermanentIntegrationError:
        if any(one.key_id == key_id for one in (await read_application(path)).password_credentials):
            raise


async def authenticates(client_id: str, text: str) -> bool:
    """Whether the tenant gives the application a token for this password.

    Documentation: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow

    Raises:
        PermanentIntegrationError: it refuses for a reason that says nothing of the password.
    """
    tenant = (await own_claims(_SCOPE))["tid"]
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": text, "scope": _SCOPE}
    call = Call("get token", "POST", f"/{tenant}/oauth2/v2.0/token", form=form, expect=(200, 400, 401))
    vendor = Vendor("entra id", "https://login.microsoftonline.com", _anonymous)
    answer = await vendor.call(call)
    if answer.status == 200:  # noqa: PLR2004 - HTTP status
        return True
    codes = vendor.shaped(call, answer, _Refusal).error_codes
    if _WRONG & set(codes):
        return False
    raise PermanentIntegrationError(VendorCall("entra id", call.operation, answer.status), f"AADSTS {codes}")
