"""A big estate as Azure Resource Manager lists it: pages of a thousand resources with twenty tags each.

Nine of ten are as they should be. The tenth was made by hand: each of its tags is right, wrong or missing by chance.
"""

import json
import random
from collections.abc import Iterator

from local.stack import Stack

SUBSCRIPTION = "20000000-0000-0000-0000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-bench"
TAGS = [f"policy-tag-{number}" for number in range(20)]
RIGHT = "as-required"
_PAGE = 1000
_HOST = "https://management.azure.com"
_SEED = 20


def _resource(number: int, chance: random.Random) -> dict[str, object]:
    by_hand = {name: chance.choice((RIGHT, "something else")) for name in chance.sample(TAGS, 12)}
    tags = by_hand if number % 10 == 0 else dict.fromkeys(TAGS, RIGHT)
    name = f"st{number:06d}"
    path = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/{name}"
    kind = "Microsoft.Storage/storageAccounts"
    return {"id": path, "name": name, "type": kind, "location": "westeurope", "kind": "StorageV2", "tags": tags}


def _pages(count: int, path: str) -> Iterator[str]:
    """The pages; each but the last one leads to the next."""
    chance = random.Random(_SEED)  # noqa: S311 - no secret: the same estate for everybody
    for first in range(0, count, _PAGE):
        page: dict[str, object] = {
            "value": [_resource(number, chance) for number in range(first, min(count, first + _PAGE))]
        }
        if first + _PAGE < count:
            page["nextLink"] = f"{_HOST}{path}?api-version=2025-04-01&$skiptoken={first // _PAGE + 1}"
        yield json.dumps(page)


def serve(stack: Stack, count: int) -> None:
    """Let the stand-in for Azure answer with these resources, for the group and for the whole subscription."""
    stack.vendors_admin("DELETE", "faults")
    for path in (f"{GROUP}/resources", f"/subscriptions/{SUBSCRIPTION}/resources"):
        for number, text in enumerate(_pages(count, path)):
            token = rf".*skiptoken={number}($|&)" if number else r"\?(?!.*skiptoken)"
            answer = {"mode": "body", "body": text, "headers": {"Content-Type": "application/json"}, "times": None}
            stack.vendors_admin("POST", "faults", {"system": "arm", "method": "GET", "path": path + token, **answer})
    tags = json.dumps({"properties": {"tags": dict.fromkeys(TAGS, RIGHT)}})
    place = {"system": "arm", "method": "GET", "path": f"{GROUP}/providers/Microsoft.Resources/tags"}
    stack.vendors_admin("POST", "faults", {**place, "mode": "body", "body": tags, "times": None})
