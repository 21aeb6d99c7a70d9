"""What the host cannot run it refuses at the start, by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.host import settings
from local.host.errors import HostError


@pytest.mark.parametrize(
    ("app", "parts"),
    [
        ("refused_binding", ["'on_order': the binding type 'queueTrigger' is not", "'write': the binding type 'blob'"]),
        ("refused_entity", ["function 'counter': the binding type 'entityTrigger' is not implemented"]),
        ("broken", ["function_app.py did not load", "mismatch"]),
    ],
)
def test_refused_at_load(new_host: Callable[..., Any], app: str, parts: list[str]) -> None:
    host = new_host(app)
    assert host.launch().wait(20) == 1
    for part in parts:
        assert part in host.log()


def write(folder: Path, document: Any) -> Path:
    (folder / "host.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, '"version": "2.0"'),
        ({"version": "1.0"}, '"version": "2.0"'),
        ("{", "not valid JSON"),
        ("[]", "must hold a JSON object"),
        ({"version": "2.0", "functionTimeout": "soon"}, "'soon' is not a time span"),
        (
            {"version": "2.0", "extensions": {"durableTask": {"versionMatchStrategy": "Strict"}}},
            "versionMatchStrategy is not implemented",
        ),
    ],
)
def test_host_json_is_checked(tmp_path: Path, document: Any, sentence: str) -> None:
    with pytest.raises(HostError, match=sentence):
        settings.load_host_settings(write(tmp_path, document), {})


def test_host_json_with_comments_and_overrides(tmp_path: Path) -> None:
    text = '{"version": "2.0", // a "comment"\n "functionTimeout": "-1", /* { */ "extensions": {"durableTask": {}}}'
    environment = {
        "AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions": "3",
        "AzureFunctionsJobHost__extensions__durableTask__hubName": "hub//x",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
    }
    loaded = settings.load_host_settings(write(tmp_path, text), environment)
    assert loaded.timeout is None
    assert (loaded.durable.activities, loaded.durable.hub, loaded.route_prefix) == (3, "hub//x", "")


def test_missing_host_json_is_no_app(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"host\.json is missing"):
        settings.load_host_settings(tmp_path, {})


def test_settings_in_the_environment_win(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text('{"Values": {"A": "file", "B": "file"}}')
    environment = {"A": "environment"}
    settings.load_app_settings(tmp_path, environment)
    assert environment == {"A": "environment", "B": "file"}


def test_missing_app_setting_is_named() -> None:
    with pytest.raises(HostError, match="'SCHEDULE'"):
        settings.expand("%SCHEDULE%", {})
