"""What an application's key vaults hold, by names, times and tags: no value is asked for."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.clients import key_vault, resources
from shared.clients.key_vault import SecretVersion
from shared.errors import NotFoundError
from shared.models.records import ApplicationRecord, RequestRecord
from shared.plan import group_of
from shared.register import requests
from shared.rotation_rules import AHEAD, rotation_rule

ROTATION_TAGS = frozenset({"CredentialId", "ProviderAddress"})  # who has them says which credential it holds, and whose


@dataclass(frozen=True)
class HeldSecret:
    """A secret in a vault; ``current`` tells of its current version."""

    environment: str
    vault: str
    current: SecretVersion

    @property
    def name(self) -> str:
        """Its name in the vault."""
        return self.current.id.rpartition("/secrets/")[2].partition("/")[0]

    @property
    def created(self) -> datetime:
        """When its current version was made."""
        return datetime.fromtimestamp(self.current.attributes.created, UTC)

    @property
    def expires(self) -> datetime | None:
        """When its current version ends; None when it does not."""
        end = self.current.attributes.exp
        return None if end is None else datetime.fromtimestamp(end, UTC)

    @property
    def rotation_asked(self) -> datetime | None:
        """From when on the rotation of the current version is asked for, by event or timer; None: by nobody.

        Raises:
            ConfigurationError: the rules are missing or malformed.
        """
        rule, end = rotation_rule(self.name), self.expires
        if end is None or rule is None or rule.strategy == "none" or not self.current.attributes.enabled:
            return None
        return end - timedelta(days=AHEAD) if self.current.tags.keys() >= ROTATION_TAGS else None

    async def newest(self) -> list[str]:
        """The current version; more than one only if they were made within one second: no list tells them apart."""
        found = [one async for one in key_vault.list_versions(key_vault.url_of(self.vault), self.name)]
        latest = max((one.attributes.created for one in found), default=0)
        return [one.version for one in found if one.attributes.created == latest]


async def vaults_of(request: RequestRecord, environment: str) -> AsyncIterator[str]:
    """The key vaults in the resource group of an environment; none when there is no such group."""
    try:
        async for resource in resources.list_resources(group_of(request, environment)):
            if resource.type.lower() == "microsoft.keyvault/vaults":
                yield resource.name
    except NotFoundError:
        return


async def secrets_of(application: ApplicationRecord, environment: str) -> AsyncIterator[HeldSecret]:
    """The secrets in the vaults of an environment.

    Raises:
        NotAuthorizedError: our identity may not list them.
    """
    request = await requests.get(application.name, application.request_id)
    async for vault in vaults_of(request, environment):
        async for secret in key_vault.list_secrets(key_vault.url_of(vault)):
            yield HeldSecret(environment, vault, secret)
