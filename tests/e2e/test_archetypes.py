"""An archetype is data: one added to the folder of a running app is ordered and runs, and no Python knows it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.stack import Stack
from tests.e2e.driver import Desk, body
from tests.e2e.estate import Estate

# The fifth archetype: the api's stack and skeleton under another id, with parameters that nobody has heard of.
PARAMETERS = {"database": "persistence", "publicEndpoint": "reachable"}
ORDER = {"archetype": "fifth", "parameters": {"persistence": "postgres", "reachable": True}}


def _renamed(document: Any) -> Any:
    """The document with the parameters' other names, whether they stand there as keys or as what a key leads to."""
    if isinstance(document, list):
        return [_renamed(item) for item in document]
    if not isinstance(document, dict):
        return document
    made: dict[str, Any] = {}
    for key, value in document.items():
        if key in ("variables", "answers"):
            made[key] = {name: PARAMETERS.get(parameter, parameter) for name, parameter in value.items()}
        elif key == "parameter":
            made[key] = PARAMETERS.get(value, value)
        else:
            made[PARAMETERS.get(str(key), str(key))] = _renamed(value)
    return made


def _add(folder: Path, identifier: str) -> None:
    target = shutil.copytree(folder / "api", folder / identifier)
    for name in ("stack.yaml", "board.yaml", "archetype.yaml"):
        document = _renamed(yaml.safe_load((target / name).read_text(encoding="utf-8")))
        if "id" in document:
            document |= {"id": identifier, "title": "Fifth"}
        (target / name).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


@pytest.mark.long
def test_an_archetype_in_the_folder_of_a_running_app_is_ordered_and_runs(desk: Desk, stack: Stack) -> None:
    assert desk.call("GET", "archetypes/fifth", "requester").status_code == 404
    _add(Path(stack.host_environment["ARCHETYPES_FOLDER"]), "fifth")
    shown = desk.call("GET", "archetypes/fifth", "requester").json()
    assert set(shown["parameters"]["properties"]) >= set(PARAMETERS.values())
    wrong = body("fifth-app", archetype="fifth", parameters={"database": "none"})
    refused = desk.call("POST", "requests/preview", "requester", wrong)
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/parameters"), refused.text
    request = desk.onboard("fifth-app", **ORDER)
    assert request["state"] == "succeeded", request["problem"]
    assert request["result"]["planned"] == request["result"]["made"] > 20
    assert (request["result"]["unplanned"], request["result"]["missing"]) == ([], [])
    Estate(stack).require_exactly_once("fifth-app", request["id"])
    answer = stack.vendors.get("https://fifth-app.dev.apps.contoso.com/health")
    assert answer.json()["application"] == "fifth-app"


# The order's parameters, what counts as its first deployment, how many work items its team starts with.
OTHERS: dict[str, tuple[dict[str, object], str, int]] = {
    "worker": ({"scaleToZero": False, "maxDeliveryCount": 3}, "the rollout counts", 8),
    "data_job": ({"schedule": "15 2 * * 1-5"}, "a whole run on the sample counts", 7),
    "spa": ({"sku": "Free"}, "200", 7),
}


@pytest.mark.long
@pytest.mark.parametrize("archetype", OTHERS)
def test_every_archetype_becomes_a_running_application_and_undo_leaves_nothing(
    desk: Desk, stack: Stack, archetype: str
) -> None:
    parameters, told, drafts = OTHERS[archetype]
    name = f"{archetype.replace('_', '-')}-app"
    request = desk.onboard(name, archetype=archetype, parameters=parameters)
    assert request["state"] == "succeeded", request["problem"]
    assert request["result"]["planned"] == request["result"]["made"] > 20
    assert (request["result"]["unplanned"], request["result"]["missing"]) == ([], [])
    details = {step["name"]: step.get("detail") or "" for step in request["steps"]}
    assert told in details["verify_health"]
    Estate(stack).require_exactly_once(name, request["id"], drafts=drafts)
    assert desk.decide(request["id"], "undo").status_code == 202
    desk.wait(request["id"], "undone", seconds=240)
    assert Estate(stack).tagged(request["id"]) == []
