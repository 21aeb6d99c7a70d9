"""Logins of PostgreSQL flexible servers: their passwords are set, and tried.

The app signs in as Microsoft Entra administrator of the server, with a token of its own identity: it keeps no password.
Documentation: https://learn.microsoft.com/azure/postgresql/security/security-entra-configure and
https://www.postgresql.org/docs/current/sql-alterrole.html
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import certifi

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.credential import access_token, own_claims
from shared.errors import (
    IntegrationError,
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    TransientIntegrationError,
    VendorCall,
)
from shared.guard import Permit
from shared.models import Model
from shared.telemetry import spans

if TYPE_CHECKING:  # the driver brings a library of its own
    from psycopg import AsyncConnection, Error, sql

_VERSION = "2026-10-01"
_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
_DATABASE = "postgres"  # every server has it
_SECONDS = 10
_NAME = "postgresql"
# What libpq shows of a refused sign-in is text only; what is not recognised is no proof of anything.
_REFUSED = ("password authentication failed", "is not permitted to log in")
_LET_IN = ("permission denied for database",)  # said only to who has signed in
_ARM = arm()


class _Server(Model):
    fully_qualified_domain_name: str


class _ServerAnswer(Model):
    properties: _Server


class _Administrator(Model):
    principal_name: str


class _AdministratorAnswer(Model):
    name: str  # the object id of the identity
    properties: _Administrator


class _Administrators(Model):
    value: list[_AdministratorAnswer]


async def read_host(server: str) -> str:
    """Host name of a server (its ARM id).

    Raises:
        NotFoundError: it does not exist.
    """
    call = Call("get server", "GET", server, params={"api-version": _VERSION})
    return (await _ARM.read(call, _ServerAnswer)).properties.fully_qualified_domain_name


async def _own_name(server: str) -> str:
    """The name under which the server knows our identity."""
    call = Call("list administrators", "GET", f"{server}/administrators", params={"api-version": _VERSION})
    own = (await own_claims(_SCOPE))["oid"].lower()
    for found in (await _ARM.read(call, _Administrators)).value:
        if found.name.lower() == own:
            return found.properties.principal_name
    detail = "the App Store's identity is no Microsoft Entra administrator of the server"
    raise NotAuthorizedError(VendorCall(_NAME, call.operation), detail)


async def set_password(server: str, login: str, password: str, permit: Permit, *, disconnect: bool = False) -> None:
    """Give a login of a server (its ARM id) a password; its open sessions go on unless they are ended.

    Only the verifier travels: neither the server nor its logs see the password.

    Raises:
        NotFoundError: there is no such login.
        NotAuthorizedError: our identity may not change it.
    """
    from psycopg import sql  # noqa: PLC0415 - heavy

    user = await _own_name(server)
    operation = f"set {permit.action.kind}"
    async with _session(await read_host(server), user, await access_token(_SCOPE), operation) as session:
        found = await session.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolcanlogin", [login])
        if login == user or await found.fetchone() is None:
            raise NotFoundError(VendorCall(_NAME, operation), f"the server has no login {login} of an application")
        verifier = session.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
        await session.execute(_statement(sql.Identifier(login), sql.Literal(verifier)))
        if disconnect:
            await session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [login])


def _statement(login: "sql.Identifier", verifier: "sql.Literal") -> "sql.Composed":
    from psycopg import sql  # noqa: PLC0415 - heavy

    return sql.SQL("ALTER ROLE {} PASSWORD {}").format(login, verifier)  # a utility statement takes no parameters


async def authenticates(server: str, login: str, password: str) -> bool:
    """Whether a server (its ARM id) lets a login in with this password."""
    try:
        async with _session(await read_host(server), login, password, "sign in"):
            return True
    except _RefusedError as refused:
        return refused.let_in


class _RefusedError(PermanentIntegrationError):
    """The server answered who signed in, and refused; ``let_in`` says whether it was only after the password fitted."""

    let_in = False


@asynccontextmanager
async def _session(host: str, user: str, password: str, operation: str) -> AsyncIterator["AsyncConnection"]:
    import psycopg  # noqa: PLC0415 - heavy

    trusted = os.environ.get("SSL_CERT_FILE") or certifi.where()  # as all other clients of the app
    with spans.vendor_call(_NAME, operation, host=host):
        try:
            session = await psycopg.AsyncConnection.connect(
                host=host,
                user=user,
                password=password,
                dbname=_DATABASE,
                sslmode="verify-full",
                sslrootcert=trusted,
                connect_timeout=_SECONDS,
                application_name="appstore",
                autocommit=True,
            )
            async with session:
                yield session
        except psycopg.Error as error:
            raise _error_of(error, operation) from error


def _error_of(error: "Error", operation: str) -> IntegrationError:
    """The error that an answer of the server stands for; its text may hold a statement, and is not passed on."""
    place, text = VendorCall(_NAME, operation), str(error)
    if any(part in text for part in (*_REFUSED, *_LET_IN)):
        refused = _RefusedError(place, "the server refuses the sign-in")
        refused.let_in = any(part in text for part in _LET_IN)
        return refused
    if error.sqlstate == "42501":  # insufficient privilege
        return NotAuthorizedError(place, "our identity may not change this login")
    if error.sqlstate is None or error.sqlstate[:2] in {"08", "53", "57"}:
        return TransientIntegrationError(place, type(error).__name__)
    return PermanentIntegrationError(place, f"{type(error).__name__} {error.sqlstate}")
