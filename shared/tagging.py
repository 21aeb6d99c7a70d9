"""Which tags a resource of an application must have, and which it lacks."""

from collections.abc import Mapping

from shared import plan
from shared.models.records import RequestRecord

REQUEST_TAG = "appstore-request-id"
OWNER_TAG = "application"
MOST_TAGS = 50  # of any resource; some types take fewer, and Azure Resource Manager says so


def required_tags(record: RequestRecord, environment: str) -> dict[str, str]:
    """The governance tags of an environment, as the plan sets them."""
    tags: dict[str, str] = plan.variables(record, environment)["tags"]
    return {**tags, REQUEST_TAG: record.id}


def lacking(have: Mapping[str, str], required: Mapping[str, str]) -> dict[str, str]:
    """The required tags that are missing or have another value; names are compared without regard to case."""
    if required.items() <= have.items():  # nearly always, and so a hundred thousand resources cost little
        return {}
    wrong = {name: value for name, value in required.items() if have.get(name) != value}
    values = {name.lower(): value for name, value in have.items()}
    return {name: value for name, value in wrong.items() if values.get(name.lower()) != value}


def too_many(have: Mapping[str, str], wanted: Mapping[str, str]) -> int:
    """By how many a resource would be over the limit."""
    names = {name.lower() for name in have} | {name.lower() for name in wanted}
    return max(0, len(names) - MOST_TAGS)


def owner_of(tags: Mapping[str, str] | None) -> str:
    """The application that a resource says it belongs to; empty when it does not say."""
    return next((value for name, value in (tags or {}).items() if name.lower() == OWNER_TAG), "")
