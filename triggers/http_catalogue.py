"""What can be ordered, and what exists."""

import re
from typing import Any

from shared import archetypes
from shared.authorisation import SEE, SIGNED_IN, may_order, may_see
from shared.errors import RequestRejectedError
from shared.models import Model
from shared.models.records import ApplicationRecord
from shared.register import requests
from triggers._http import Answer, Call, endpoint
from triggers._views import application_view, base


class ArchetypeList(Model):
    """The catalogue as far as the caller may order from it."""

    archetypes: list[dict[str, Any]]


class ApplicationList(Model):
    """Applications that the caller may see."""

    applications: list[dict[str, Any]]


@endpoint("GET", "archetypes", action=SIGNED_IN, summary="What the caller can order.", answers={200: ArchetypeList})
async def list_archetypes(call: Call) -> Answer:
    """List the catalogue."""
    shown = [_view(item) for item in archetypes.catalogue() if may_order(call.caller, item.roles)]
    return Answer(200, {"archetypes": shown})


@endpoint(
    "GET",
    "archetypes/{id}",
    action=SIGNED_IN,
    summary="One archetype with its JSON Schema.",
    answers={200: "The archetype."},
)
async def get_archetype(call: Call) -> Answer:
    """Show an archetype; one that the caller may not order does not exist for the caller."""
    identifier = call.params.get("id", "")
    for item in archetypes.catalogue():
        if item.id == identifier and may_order(call.caller, item.roles):
            return Answer(200, _view(item))
    raise RequestRejectedError("unknown-archetype", f"There is no archetype {identifier}.", status=404)


# How the order is carried out is nobody's choice.
_INNER = ("layers", "names", "variables", "answers", "pipeline", "credentials", "health")


def _view(item: archetypes.Archetype) -> dict[str, Any]:
    board = archetypes.board(item.id).document()
    shown = {name: value for name, value in item.document().items() if name not in _INNER}
    return {**shown, "board": board, "links": {"self": f"{base()}/archetypes/{item.id}"}}


@endpoint("GET", "applications", action=SEE, summary="Applications and reserved names.", answers={200: ApplicationList})
async def list_applications(call: Call) -> Answer:
    """List applications."""
    found = [item async for item in requests.applications() if may_see(call.caller, item)]
    return Answer(200, {"applications": [application_view(item) for item in sorted(found, key=lambda item: item.name)]})


@endpoint("GET", "applications/{name}", action=SEE, summary="One application.", answers={200: "The application."})
async def get_application(call: Call) -> Answer:
    """Show an application."""
    return Answer(200, application_view(await visible_application(call)))


async def visible_application(call: Call) -> ApplicationRecord:
    """The application of the path, if the caller may see it; otherwise it does not exist for the caller."""
    name = call.params.get("name", "")
    found = await requests.application(name) if re.fullmatch(r"[a-z0-9-]{3,32}", name) else None
    if found is None or not may_see(call.caller, found):
        raise RequestRejectedError("unknown-application", f"There is no application {name}.", status=404)
    return found
