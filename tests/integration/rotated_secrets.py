"""Secrets of an application that hold a credential of each kind, consumers that log in with them, and a killer."""

import asyncio
import base64
import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any, ClassVar, override
from urllib.parse import quote_plus
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from local.sign_in import identity_token
from shared.clients import _http, storage_keys
from shared.clients.storage_keys import AccessKey
from shared.models.records import RequestRecord
from shared.names import environment_names
from shared.register import _table, controls
from tests.integration.day2 import STORAGE, VAULTS, WorkerDiedError, group_of
from tests.integration.world import TENANT, World
from tests.postgresql import Postgres

SERVICE_BUS, POSTGRESQL = "2024-01-01", "2026-10-01"
DAY = 86400


@dataclass
class Secret:
    """A secret in the application's vault, in one of its environments.

    Attributes:
        address: the provider, as the secret's tag says.
        changes: what a call at the provider that makes or ends a credential looks like in the journal.
    """

    world: World
    request: RequestRecord
    environment: str = "dev"
    name: str = ""
    address: str = ""
    vault: str = field(default="", init=False)
    changes: ClassVar[tuple[str, str]] = ("POST", "")

    def __post_init__(self) -> None:
        names = environment_names(self.request.application, self.environment, self.request.id)
        self.vault = names.key_vault
        properties = {"tenantId": "11111111-1111-1111-1111-111111111111", "sku": {"family": "A", "name": "standard"}}
        body = {"location": "westeurope", "properties": {**properties, "enableRbacAuthorization": True}}
        self.put(f"Microsoft.KeyVault/vaults/{self.vault}", VAULTS, body)

    def put(self, path: str, version: str, body: dict[str, Any]) -> str:
        """Make a resource in the environment's group, with the application's tag; its id."""
        place = f"{group_of(self.request, self.environment)}/providers/{path}"
        self.world.azure(place, version, "PUT", {**body, "tags": {"application": self.request.application}})
        return place

    def call(self, method: str, path: str, content: Any = None) -> Any:
        token = identity_token(self.world.stack, "https://vault.azure.net")
        url = f"https://{self.vault}.vault.azure.net/secrets/{path}?api-version=2026-04-01"
        answer = self.world.stack.vendors.request(
            method, url, json=content, headers={"Authorization": f"Bearer {token}"}
        )
        answer.raise_for_status()
        return answer.json()

    def publish(self, value: str, credential: str, **tags: str) -> None:
        """What somebody did by hand once."""
        known = {"CredentialId": credential, "ProviderAddress": self.address, "ValidityPeriodDays": "60", **tags}
        wanted = {"value": value, "tags": known, "attributes": {"exp": int(time.time()) + DAY}}
        self.call("PUT", self.name, wanted)

    def current(self) -> Any:
        return self.call("GET", self.name)

    def version(self) -> str:
        return str(self.current()["id"]).rpartition("/")[2]

    def versions(self) -> int:
        return len(self.call("GET", f"{self.name}/versions")["value"])

    def parameters(self, **more: Any) -> dict[str, Any]:
        return {"vault": self.vault, "secret": self.name, **more}

    def changed(self, since: int) -> int:
        """How often the product changed something at the provider."""
        return self.world.committed(since, *self.changes)

    async def logs_in(self) -> bool:
        """Whether the published credential works, as a consumer that has just read it finds."""
        current = self.current()
        return await self.lets_in(current["value"], current["tags"])

    async def lets_in(self, value: str, tags: dict[str, str]) -> bool:
        """Whether a value that was published once works now."""
        raise NotImplementedError


class StorageSecret(Secret):
    """Holds a key of a storage account."""

    changes = ("POST", "regenerateKey$|regenerateKey\\?")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = self.name or "storage-key"
        body = {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
        account = f"st{self.request.id.replace('-', '')[-16:].lower()}{self.environment[:3]}"
        self.address = self.put(f"Microsoft.Storage/storageAccounts/{account}", STORAGE, body)
        self.publish(self.keys()["key1"], "key1")

    def keys(self) -> dict[str, str]:
        found = self.world.azure(f"{self.address}/listKeys", STORAGE, "POST", {})["keys"]
        return {key["keyName"]: key["value"] for key in found}

    @override
    async def lets_in(self, value: str, tags: dict[str, str]) -> bool:
        return await storage_keys.authenticates(self.address, AccessKey(key_name="x", value=value))


class ServiceBusSecret(Secret):
    """Holds the connection string of a policy of a queue."""

    changes = ("POST", "regenerateKeys")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = self.name or "orders-queue"
        self.namespace = f"sb-{self.request.id.replace('-', '')[-16:].lower()}"
        base = f"Microsoft.ServiceBus/namespaces/{self.namespace}"
        self.put(base, SERVICE_BUS, {"location": "westeurope", "sku": {"name": "Standard"}})
        self.put(f"{base}/queues/orders", SERVICE_BUS, {"properties": {}})
        rights = {"properties": {"rights": ["Listen", "Send"]}}
        self.address = self.put(f"{base}/queues/orders/authorizationRules/worker", SERVICE_BUS, rights)
        self.publish(self.keys()["primaryconnectionstring"], "PrimaryKey")

    def keys(self) -> dict[str, str]:
        found = self.world.azure(f"{self.address}/listKeys", SERVICE_BUS, "POST", {})
        return {name.lower(): value for name, value in found.items()}

    @override
    async def lets_in(self, value: str, tags: dict[str, str]) -> bool:
        """As the queue's worker signs; a policy that may not manage is told so once it is known who asks."""
        parts = dict(part.split("=", 1) for part in value.split(";"))
        host = parts["Endpoint"].removeprefix("sb://").strip("/")
        place, until = quote_plus(f"https://{host}/orders"), int(time.time()) + 60
        signed = hmac.digest(parts["SharedAccessKey"].encode(), f"{place}\n{until}".encode(), hashlib.sha256)
        signature = quote_plus(base64.b64encode(signed))
        token = f"SharedAccessSignature sr={place}&sig={signature}&se={until}&skn={parts['SharedAccessKeyName']}"
        answer = self.world.stack.vendors.get(f"https://{host}/orders", headers={"Authorization": token})
        return answer.status_code == httpx.codes.OK or "claims required" in answer.text


class AppSecret(Secret):
    """Holds a password of an application in the directory."""

    changes = ("POST", "addPassword|removePassword")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = self.name or "partner-client"
        self.object_id, self.client_id, key_id = (str(uuid4()) for _ in range(3))
        self.address = f"https://graph.microsoft.com/v1.0/applications/{self.object_id}"
        first = {"keyId": key_id, "displayName": "by hand", "secretText": f"first-{uuid4()}"}
        first |= {"startDateTime": "2026-01-01T00:00:00Z", "endDateTime": "2199-01-01T00:00:00Z"}
        tags = [f"application:{self.request.application}"]
        row = {"id": self.object_id, "appId": self.client_id, "tags": tags, "passwordCredentials": [first]}
        self.world.seed("entra", {f"applications/{self.object_id}": row})
        self.publish(first["secretText"], key_id)

    def graph(self, method: str, path: str = "", content: Any = None) -> Any:
        token = identity_token(self.world.stack, "https://graph.microsoft.com")
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.world.stack.vendors.request(method, f"{self.address}{path}", json=content, headers=headers)
        answer.raise_for_status()
        return answer.json()

    def passwords(self) -> list[dict[str, Any]]:
        """As Microsoft Graph lists them."""
        found: list[dict[str, Any]] = self.graph("GET")["passwordCredentials"]
        return found

    def add(self, name: str) -> str:
        """A password that somebody adds by hand; its id."""
        return str(self.graph("POST", "/addPassword", {"passwordCredential": {"displayName": name}})["keyId"])

    @override
    async def lets_in(self, value: str, tags: dict[str, str]) -> bool:
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": value}
        form["scope"] = "https://graph.microsoft.com/.default"
        url = f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
        answer = self.world.stack.vendors.post(url, data=form)
        return answer.status_code == httpx.codes.OK


class PostgresqlSecret(Secret):
    """Holds the address of a database with one of two logins."""

    changes = ("POST", "never: it is no HTTP")
    server: ClassVar[Postgres]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = self.name or "database-url"
        part = self.request.id.replace("-", "")[-16:].lower()
        self.host = f"pg-{part}.postgres.database.azure.com"
        body = {"location": "westeurope", "sku": {"name": "Standard_B1ms", "tier": "Burstable"}}
        body |= {"properties": {"version": "16", "storage": {"storageSizeGB": 32}}}
        self.address = self.put(f"Microsoft.DBforPostgreSQL/flexibleServers/pg-{part}", POSTGRESQL, body)
        self.logins, password = (f"Orders-{part}_a", f"Orders-{part}_b"), token_urlsafe(20)
        with self.server.superuser() as session:
            for login in self.logins:
                create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                session.execute(create.format(sql.Identifier(login), sql.Literal(password)))
        address = f"postgresql://{self.logins[0]}:{password}@{self.host}:5432/postgres"
        self.publish(address, self.logins[0], AlternateCredentialId=self.logins[1])

    @override
    async def lets_in(self, value: str, tags: dict[str, str]) -> bool:
        return await asyncio.to_thread(self._session, value)

    def login(self) -> dict[str, Any]:
        """How a consumer signs in that has just read the secret."""
        return self._words(self.current()["value"])

    def _words(self, value: str) -> dict[str, Any]:
        words: dict[str, Any] = dict(psycopg.conninfo.conninfo_to_dict(value))
        trusted = {"sslmode": "verify-full", "sslrootcert": os.environ["SSL_CERT_FILE"]}
        return {**words, **trusted, "port": self.server.port}

    def _session(self, value: str) -> bool:
        try:
            with psycopg.connect(**self._words(value)):
                return True
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
            return False


@dataclass
class Killer:
    """Kills the worker after one of its calls to a vendor: the call took effect, its answer is lost."""

    at: int
    calls: int = 0

    def count(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise WorkerDiedError(f"call {self.at}")


@contextmanager
def killing(at: int) -> Any:
    """Kill the worker after its call number ``at`` to a vendor."""
    killer = Killer(at)

    async def answered(_response: httpx.Response) -> None:
        killer.count()

    async def execute(session: Any, *arguments: Any, **more: Any) -> Any:
        found = await original(session, *arguments, **more)
        killer.count()
        return found

    original, hooks = psycopg.AsyncConnection.execute, _http._client().event_hooks
    _http._client().event_hooks = {**hooks, "response": [answered]}
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psycopg.AsyncConnection, "execute", execute)
            yield killer
    finally:
        _http._client().event_hooks = hooks


async def leave_room() -> None:
    """Tests of rotation do more in an hour than the rule's budget allows."""
    with suppress(_table.RowConflictError):
        await _table.commit(controls.PARTITION, [_table.Write("budget:rotate-secret", None)])


async def watched(secret: Secret, work: Callable[[], Any]) -> tuple[int, int]:
    """Run something while a consumer reads the vault and logs in; how often it did, and how often in vain."""
    ended, tries, failures = asyncio.Event(), 0, 0

    async def consume() -> None:
        nonlocal tries, failures
        while not ended.is_set():
            tries += 1
            failures += not await secret.logs_in()
            await asyncio.sleep(0.01)

    consumer = asyncio.create_task(consume())
    try:
        await work()
    finally:
        ended.set()
        await consumer
    return tries, failures


def holds(text: str, values: set[str]) -> list[str]:
    """Those of the secret values that a text shows, in part or whole."""
    parts = {part for value in values for part in re.split(r"[;]", value) if len(part) > 20}
    return [part for part in parts if part.removeprefix("SharedAccessKey=") in text]
