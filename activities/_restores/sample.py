"""The part of what a resource holds that a drill restores: always the same one, whatever comes and goes beside it."""

from collections.abc import Iterable, Sequence
from heapq import nsmallest

from shared.backup_rules import backup_rule
from shared.canonical import sha256_hex

_NAMED = 5


def sample_of(names: Iterable[str], environment: str, most: int | None = None) -> list[str]:
    """As many names as ``rules/backups.yaml`` says of the stage, ``most`` of them, chosen by nothing but themselves."""
    wanted = backup_rule(environment).sample
    size = wanted if most is None else min(wanted, most)
    return sorted(nsmallest(size, names, key=lambda name: sha256_hex(name.encode())))


def named(names: Sequence[str]) -> str:
    """Some names for people, and how many there are beside them."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
