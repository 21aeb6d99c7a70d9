"""Passwords of an application in Microsoft Entra ID: a new one comes beside the old ones."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from activities._providers.port import CREDENTIAL, Credential, NotYetError, Turn
from shared.clients import app_passwords
from shared.guard import Permit
from shared.models.operations import PlannedCall

OWNER = "application:"  # a tag of the application says so whose it is
_GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ADDRESS = re.compile(rf"{re.escape(app_passwords.BASE)}(?P<path>/v1\.0/applications/{_GUID})")
_STALE = timedelta(minutes=15)
_WAITS = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # Entra ID knows a new password everywhere within a minute


class AppPasswords:
    """Passwords; their text is shown once, so that a repeat has to make another one.

    They carry secret and operation in their name: what attempts that died have left is recognised by that, and goes
    with the old password at the latest.
    """

    kind = "application credential"  # with the word password before it, a reason would be taken for one by the log
    adds = True
    needs = "must name an application of Microsoft Entra ID (https://graph.microsoft.com/v1.0/applications/<object id>)"
    needs += " and the keyId of its password"

    def issues(self, address: str) -> bool:
        """Whether the address is an application's."""
        return _ADDRESS.fullmatch(address) is not None

    def alternate(self, tags: Mapping[str, str]) -> str | None:
        """Entra ID names a password when it is made."""
        return "" if re.fullmatch(_GUID, tags.get(CREDENTIAL, "")) else None

    async def owner(self, address: str) -> str:
        """The application of the App Store that the directory's application names in a tag."""
        tags = (await app_passwords.read_application(_path(address))).tags
        return next((tag.removeprefix(OWNER) for tag in tags if tag.startswith(OWNER)), "")

    async def locked(self, address: str) -> bool:  # noqa: ARG002 - the port asks
        """The directory knows no locks."""
        return False

    def renewal(self, turn: Turn) -> PlannedCall:
        """A password is added."""
        body = {"passwordCredential": {"displayName": _name(turn)}}
        return PlannedCall(method="POST", target=f"{turn.address}/addPassword", body=body)

    def retirement(self, turn: Turn) -> PlannedCall:
        """A password is removed."""
        return PlannedCall(method="POST", target=f"{turn.address}/removePassword", body={"keyId": turn.credential})

    async def renew(self, turn: Turn, permit: Permit) -> Credential:
        """Another password, once Entra ID lets it in; what dead attempts left a while ago is removed."""
        path = _path(turn.address)
        application = await app_passwords.read_application(path)
        for one in application.password_credentials:
            if one.display_name == _name(turn) and _stale(one.start_date_time):
                await app_passwords.remove_password(path, one.key_id, permit)
        until = datetime.now(UTC) + timedelta(days=turn.days)
        moment = until.isoformat(timespec="seconds").replace("+00:00", "Z")
        made = await app_passwords.add_password(path, _name(turn), moment, permit)
        for wait in _WAITS:
            await asyncio.sleep(wait)
            if await app_passwords.authenticates(application.app_id, made.secret_text):
                return Credential(made.key_id, made.secret_text)
        await app_passwords.remove_password(path, made.key_id, permit)
        raise NotYetError("Entra ID does not let the new password in yet: it was removed, another one follows")

    async def read(self, turn: Turn) -> Credential | None:  # noqa: ARG002 - the port asks
        """Entra ID shows a password once."""
        return None

    async def authenticates(self, turn: Turn, credential: Credential) -> bool:
        """Whether the application gets a token for it."""
        application = await app_passwords.read_application(_path(turn.address))
        return await app_passwords.authenticates(application.app_id, credential.value)

    async def retire(self, turn: Turn, published: Credential, permit: Permit) -> None:
        """Remove the old password, and all that were made for this secret and are not the published one."""
        path = _path(turn.address)
        for one in (await app_passwords.read_application(path)).password_credentials:
            ours = (one.display_name or "").startswith(f"{turn.secret} op-")
            if one.key_id != published.name and (ours or one.key_id == turn.credential):
                await app_passwords.remove_password(path, one.key_id, permit)

    def shown(self, published: str) -> str:
        """The secret's value is the password."""
        return published

    def written(self, published: str, credential: Credential) -> str:  # noqa: ARG002 - the port asks
        """The new value is the password."""
        return credential.value


def _path(address: str) -> str:
    found = _ADDRESS.fullmatch(address)
    assert found is not None, "the address is one of ours"  # noqa: S101 - `issues` was asked
    return found["path"]


def _name(turn: Turn) -> str:
    return f"{turn.secret} {turn.operation}"


def _stale(start: str) -> bool:
    try:
        return datetime.fromisoformat(start) + _STALE < datetime.now(UTC)
    except (ValueError, TypeError):
        return False
