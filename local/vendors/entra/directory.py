"""Who can sign in: people, service principals and workload identities of the example organisation."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from local.vendors.kernel import Store

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


def group_id(team: str) -> str:
    """Every team is a group of the directory."""
    return str(uuid5(NAMESPACE_DNS, f"{team}.teams.contoso.com"))


class Directory:
    """People and groups: those of the document, and those that a test seeded as `personas/<name>`, `groups/<team>`.

    A person is {"roles": [], "teams": [], "overage": false, "enabled": true}; a group {"roles": [], "in": []}: what
    it is assigned, and the groups that it is a member of.
    """

    def __init__(self, store: Store) -> None:
        self.people = self._rows(store, "people", "personas/")
        self.groups = self._rows(store, "groups", "groups/")

    @staticmethod
    def _rows(store: Store, name: str, prefix: str) -> dict[str, dict[str, Any]]:
        given: dict[str, dict[str, Any]] = DOCUMENT[name]
        return given | {key.removeprefix(prefix): row for key, row in store.list(prefix)}

    def person(self, name: str) -> Principal:
        """A person with what a token says: roles of the direct groups too, groups with those that these are in."""
        entry = self.people[name]
        teams: list[str] = list(entry["teams"])
        given = [role for team in teams for role in self.groups.get(team, {"roles": []})["roles"]]
        for team in teams:  # grows while it is walked
            teams += [parent for parent in self.groups.get(team, {"in": []})["in"] if parent not in teams]
        roles = tuple(dict.fromkeys([*entry["roles"], *given]))
        overage = bool(entry.get("overage"))
        return Principal(name, object_id(name), roles, tuple(map(group_id, teams)), overage=overage)

    def known_groups(self) -> set[str]:
        """Ids of all groups that have a name somewhere."""
        names = {team for entry in self.people.values() for team in entry["teams"]}
        names |= {team for team, row in self.groups.items() for team in (team, *row["in"])}
        return {group_id(name) for name in names}


def application(client_id: str) -> Principal | None:
    """A service principal with a secret, by its name or client id."""
    for name, roles in DOCUMENT["applications"].items():
        identity = object_id(f"{name}.client")
        if client_id in {name, identity}:
            return Principal(name, object_id(name), tuple(roles), client_id=identity)
    return None
