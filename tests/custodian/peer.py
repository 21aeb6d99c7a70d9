"""Asked by the tests, in the environment that has Cloud Custodian: what its own filters say about resources.

Reads `{"filters": [...], "resources": [...]}` from standard input and answers a list of lists of true and false.
"""

import json
import sys
from typing import Any

from c7n.filters.core import FilterRegistry, ValueFilter  # type: ignore[import-not-found]


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    registry = FilterRegistry("test")
    registry.register("value", ValueFilter)
    json.dump([_judged(registry, item, asked["resources"]) for item in asked["filters"]], sys.stdout)


def _judged(registry: Any, given: Any, resources: list[Any]) -> list[bool]:
    judge = registry.factory(given)
    return [bool(judge.process([resource])) for resource in resources]


if __name__ == "__main__":
    main()
