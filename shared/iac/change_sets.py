"""Where the change set of a plan is kept until it is judged: a pipeline's among its artefacts, a stack's among ours."""

import json
from typing import Any

from shared.canonical import canonical_json
from shared.clients import blobs
from shared.models.plan import EnvironmentPlan


async def keep(plan: EnvironmentPlan, change_set: dict[str, Any]) -> None:
    """Keep what no pipeline has kept already."""
    if plan.engine == "deployment_stack":
        await blobs.write_document(_name(plan), canonical_json(change_set))


async def read(plan: EnvironmentPlan) -> dict[str, Any]:
    """The change set as it is stored now; who relies on it compares its digest. Raises NotFoundError."""
    stored = plan.engine == "deployment_stack"
    content = await (blobs.read_document(_name(plan)) if stored else blobs.read_artefact(plan.run_id, "changeset.json"))
    document: dict[str, Any] = json.loads(content)
    return document


def _name(plan: EnvironmentPlan) -> str:
    return f"change-sets/{plan.run_id}.json"
