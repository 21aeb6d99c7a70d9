"""Two logins of a PostgreSQL server that take turns."""

import re
import secrets
from collections.abc import Mapping

from activities._providers._key_pairs import GROUP, SEGMENT
from activities._providers.port import ALTERNATE, CREDENTIAL, Credential, Turn
from shared import tagging
from shared.clients import postgresql_logins, resources
from shared.guard import Permit
from shared.models.operations import PlannedCall

_ADDRESS = re.compile(rf"{GROUP}/Microsoft\.DBforPostgreSQL/flexibleServers/{SEGMENT}", re.IGNORECASE)
_LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
# postgresql://login:password@host/db, or the words of libpq (user=... password=...) and .NET (User Id=...;Password=...)
_URL = re.compile(r"^[a-z0-9+]+://(?P<login>[^:@/\s]+):(?P<password>[^@/\s]+)@")
_TEXT = r"""\s*=\s*({}'(?:[^'\\]|\\.)*'|"[^"]*"|[^;\s]+)"""
_LOGIN_WORD = re.compile(r"(?:^|[;\s])(?:user|user id|username)" + _TEXT.format("?P<login>"), re.IGNORECASE)
_PASSWORD_WORD = re.compile(r"(?:^|[;\s])password" + _TEXT.format("?P<password>"), re.IGNORECASE)


class PostgresqlLogins:
    """Logins of an application; both are members of the role that owns what is in the database.

    PostgreSQL keeps no time of a password, and only its verifier: a repeat sets another one for the login that nobody
    uses.
    """

    kind = "postgresql password"
    adds = False
    needs = f"must name a PostgreSQL flexible server and a login, and {ALTERNATE} the login that takes turns with it"

    def issues(self, address: str) -> bool:
        """Whether the address is a server's."""
        return _ADDRESS.fullmatch(address) is not None

    def alternate(self, tags: Mapping[str, str]) -> str | None:
        """The other login, as the secret's tag says."""
        used, other = tags.get(CREDENTIAL, ""), tags.get(ALTERNATE, "")
        return other if other != used and _LOGIN.fullmatch(used) and _LOGIN.fullmatch(other) else None

    async def owner(self, address: str) -> str:
        """The application in the server's tags. Raises NotFoundError: it does not exist."""
        return tagging.owner_of(await resources.read_tags(address))

    async def locked(self, address: str) -> bool:
        """Whether a lock lies on the server."""
        return await resources.is_locked(address)

    def renewal(self, turn: Turn) -> PlannedCall:
        """The login gets another password."""
        return PlannedCall(
            method="ALTER ROLE", target=f"{turn.address} {turn.credential}", body={"password": "another"}
        )

    retirement = renewal

    async def renew(self, turn: Turn, permit: Permit) -> Credential:
        """The login with another password, also at a repeat."""
        password = secrets.token_urlsafe(32)
        await postgresql_logins.set_password(turn.address, turn.credential, password, permit, disconnect=turn.leaked)
        return Credential(turn.credential, password)

    async def read(self, turn: Turn) -> Credential | None:  # noqa: ARG002 - the port asks
        """The server keeps a verifier only."""
        return None

    async def authenticates(self, turn: Turn, credential: Credential) -> bool:
        """Whether the server lets the login in."""
        return await postgresql_logins.authenticates(turn.address, credential.name, credential.value)

    async def retire(self, turn: Turn, published: Credential, permit: Permit) -> None:
        """The login gets a password that is kept nowhere; after a leak its sessions end, too."""
        assert published.name != turn.credential, "what is published stays"  # noqa: S101 - a mix-up would lock out
        await self.renew(turn, permit)

    def shown(self, published: str) -> str:
        """The password itself, or the one in an address or a connection string."""
        spans = _spans(published)
        return published[slice(*spans[1])] if spans else published

    def written(self, published: str, credential: Credential) -> str:
        """Login and password in the same form; a password alone is read together with the version's tag."""
        spans = _spans(published)
        if spans is None:
            return credential.value
        parts = zip(spans, (credential.name, credential.value), strict=True)
        for (start, end), text in sorted(parts, reverse=True):
            published = published[:start] + text + published[end:]
        return published


def _spans(published: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Where login and password are; None when it has not both."""
    login = password = _URL.search(published)
    if login is None:
        login, password = _LOGIN_WORD.search(published), _PASSWORD_WORD.search(published)
    return (login.span("login"), password.span("password")) if login and password else None
