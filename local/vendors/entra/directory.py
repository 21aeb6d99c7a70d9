"""Who can sign in: people, service principals and workload identities of the example organisation."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

TENANT = "11111111-1111-1111-1111-111111111111"
DOCUMENT: dict[str, Any] = json.loads(Path(__file__).with_name("directory.json").read_text())


@dataclass(frozen=True)
class Principal:
    """A user, or an application (then with a client id)."""

    name: str
    object_id: str
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    overage: bool = False  # in more groups than a token holds
    client_id: str | None = None


def object_id(name: str) -> str:
    """The same GUID for the same name in every run."""
    return str(uuid5(NAMESPACE_DNS, f"{name}.directory.contoso.com"))


def person(name: str, entry: dict[str, Any]) -> Principal:
    """A person from {"roles": [], "teams": [], "overage": false}; every team is a group of the directory."""
    groups = (str(uuid5(NAMESPACE_DNS, f"{team}.teams.contoso.com")) for team in entry["teams"])
    overage = bool(entry.get("overage"))
    return Principal(name, object_id(name), tuple(entry["roles"]), tuple(groups), overage=overage)


def application(client_id: str) -> Principal | None:
    """A service principal with a secret, by its name or client id."""
    for name, roles in DOCUMENT["applications"].items():
        identity = object_id(f"{name}.client")
        if client_id in {name, identity}:
            return Principal(name, object_id(name), tuple(roles), client_id=identity)
    return None
