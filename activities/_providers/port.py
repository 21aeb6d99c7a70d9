"""What rotation needs of whoever issues a credential."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shared.guard import Permit
from shared.models.operations import PlannedCall

CREDENTIAL, ALTERNATE, PROVIDER = "CredentialId", "AlternateCredentialId", "ProviderAddress"


class NotYetError(Exception):
    """The provider does not let the new credential in yet; nothing is left of it, another one has to be made."""


@dataclass(frozen=True)
class Credential:
    """A credential; its value appears in no text that is made of it.

    Attributes:
        name: what the tag ``CredentialId`` says of it: a key, a login, the id of a password.
        value: what a consumer shows to get in.
    """

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class Turn:
    """Whose turn it is to be made new, and for whom.

    Attributes:
        address: the provider, as the tag ``ProviderAddress`` says.
        credential: the one that is made new or ended; empty where a new one gets its name when it is made.
        secret: ``vault/name`` of the secret that holds it.
        operation: the operation that it is done for.
        since: when the operation was asked for, ISO 8601.
        days: so long a new credential has to work, where its provider wants to know.
        leaked: whether somebody else has the credentials: then open sessions end, too.
    """

    address: str
    credential: str
    secret: str
    operation: str
    since: str
    days: int = 90
    leaked: bool = False


class CredentialProvider(Protocol):
    """Makes credentials, lets them in, ends them.

    Attributes:
        kind: what it issues, in a few words for people.
        adds: whether a new credential comes beside the old ones, instead of replacing the value of one of them.
        needs: what the secret's tags have to say, for people.
    """

    kind: str
    adds: bool
    needs: str

    def issues(self, address: str) -> bool:
        """Whether the address is one of its."""
        ...

    def alternate(self, tags: Mapping[str, str]) -> str | None:
        """Name of the credential that nobody uses; empty when it is yet to be made, None when the tags do not fit."""
        ...

    async def owner(self, address: str) -> str:
        """The application that the credential's holder says it belongs to; empty when it does not say.

        Raises:
            NotFoundError: there is no such holder.
        """
        ...

    async def locked(self, address: str) -> bool:
        """Whether a lock lies on the holder."""
        ...

    def renewal(self, turn: Turn) -> PlannedCall:
        """The call that makes a credential new."""
        ...

    def retirement(self, turn: Turn) -> PlannedCall:
        """The call that makes a credential worthless."""
        ...

    async def renew(self, turn: Turn, permit: Permit) -> Credential:
        """The credential, made new unless the operation did so already and its value can still be read.

        Nobody may use it yet: a repeat may make it new once more.

        Raises:
            NotYetError: the provider needs longer.
        """
        ...

    async def read(self, turn: Turn) -> Credential | None:
        """The credential as the provider has it now; None when its value cannot be read."""
        ...

    async def authenticates(self, turn: Turn, credential: Credential) -> bool:
        """Whether the provider lets somebody in who shows the credential."""
        ...

    async def retire(self, turn: Turn, published: Credential, permit: Permit) -> None:
        """Make a credential worthless, and with it what attempts that died have left; the published one stays."""
        ...

    def shown(self, published: str) -> str:
        """The credential in a secret's value, which may be more: a connection string, an address."""
        ...

    def written(self, published: str, credential: Credential) -> str:
        """The secret's new value: as the old one was written, with the new credential in it."""
        ...
