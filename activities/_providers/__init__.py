"""Who issues the credentials that secrets hold: one port, and a provider for each kind of credential."""

from activities._providers.app_passwords import AppPasswords
from activities._providers.port import (
    ALTERNATE,
    CREDENTIAL,
    PROVIDER,
    Credential,
    CredentialProvider,
    NotYetError,
    Turn,
)
from activities._providers.postgresql_logins import PostgresqlLogins
from activities._providers.service_bus_keys import ServiceBusKeys
from activities._providers.storage_keys import StorageKeys

PROVIDERS: tuple[CredentialProvider, ...] = (StorageKeys(), ServiceBusKeys(), AppPasswords(), PostgresqlLogins())

__all__ = [
    "ALTERNATE",
    "CREDENTIAL",
    "PROVIDER",
    "PROVIDERS",
    "Credential",
    "CredentialProvider",
    "NotYetError",
    "Turn",
    "provider_of",
]


def provider_of(address: str) -> CredentialProvider | None:
    """The provider that a secret's tag ``ProviderAddress`` names; None when it is nobody we know."""
    return next((provider for provider in PROVIDERS if provider.issues(address)), None)
