"""What an archetype's data may say, and what is read from it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared import archetypes
from shared.errors import ArchetypeError, RequestRejectedError
from shared.names import global_name

ROOT = archetypes.ROOT


def _changed(folder: Path, **changes: Any) -> Path:
    """A folder with one archetype, the api with some parts replaced."""
    shutil.copytree(ROOT / "api", folder / "api", ignore=shutil.ignore_patterns("skeleton"))
    file = folder / "api" / "archetype.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return folder


@given(
    st.from_regex(r"[a-z][a-z0-9]{0,10}(-[a-z0-9]{1,10}){0,2}", fullmatch=True).filter(lambda name: len(name) <= 32),
    st.sampled_from(["dev", "qa", "prod"]),
    st.sampled_from([("st", 24, r"[a-z0-9]{3,24}"), ("sb-", 50, r"(?=.{6,50}$)[a-z](-?[a-z0-9])+")]),
)
def test_global_names_keep_their_vendors_rules(application: str, stage: str, kind: tuple[str, int, str]) -> None:
    prefix, longest, pattern = kind
    made = global_name(prefix, longest, f"{application}-{stage}", "req-1")
    assert re.fullmatch(pattern, made), made
    assert made == global_name(prefix, longest, f"{application}-{stage}", "req-1")
    assert made != global_name(prefix, longest, f"{application}-{stage}", "req-2")


def test_global_names_that_are_cut_do_not_collide() -> None:
    first, second = (global_name("st", 24, f"payments-settlement-{end}-dev", "req-1") for end in "ab")
    assert first[:-6] == second[:-6]
    assert first != second


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"variables": {"database": "storage"}}, "there is no parameter storage"),
        ({"answers": {"database": "storage"}}, "there is no parameter storage"),
        ({"pipeline": {"X": {"parameter": "storage"}}}, "there is no parameter storage"),
        ({"pipeline": {"X": {}}}, "either a parameter or an output"),
        ({"pipeline": {"X": {"parameter": "database", "output": "host"}}}, "either a parameter or an output"),
        ({"health": {"when": {"storage": 1}, "otherwise": "x"}}, "there is no parameter storage"),
        ({"health": {"path": "health", "otherwise": "x"}}, "health.path"),
        ({"names": {"bus": {"prefix": "SB", "longest": 50}}}, "names.bus.prefix"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_data_that_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ArchetypeError, match=re.escape(told)):
        archetypes.find("api", _changed(tmp_path, **changes))


def test_another_folder_is_read_when_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archetypes.folder() == ROOT
    monkeypatch.setenv("ARCHETYPES_FOLDER", str(_changed(tmp_path, title="Ours")))
    assert [item.title for item in archetypes.catalogue()] == ["Ours"]
    with pytest.raises(RequestRejectedError, match="there are: api"):
        archetypes.find("worker")


def test_digest_covers_every_layer(tmp_path: Path) -> None:
    for name in ("_common", "_python", "worker"):
        shutil.copytree(ROOT / name, tmp_path / name)
    seen = {archetypes.skeleton_digest("worker", tmp_path)}
    for file in ("_common/README.md", "_python/skeleton/.python-version", "worker/stack.yaml"):
        (tmp_path / file).write_text("changed", encoding="utf-8")
        if file != "worker/stack.yaml":
            seen.add(archetypes.skeleton_digest("worker", tmp_path))
    seen.add(archetypes.skeleton_digest("worker", tmp_path))
    assert len(seen) == 4


def test_parameters_get_their_other_names() -> None:
    api = archetypes.find("api", ROOT)
    parameters = archetypes.complete_parameters(api, {"publicEndpoint": False})
    expected = {"database": "postgres", "public_endpoint": False}
    assert archetypes.chosen(parameters, api.variables) == archetypes.chosen(parameters, api.answers) == expected


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * *",
        "every day",
        "0 3 * * *\n",
        "0 3 * * * root",
        "$(id) * * * *",
        "0 24 * * *",
        "0 0 * 13 *",
        "*/0 * * * *",
    ],
)
def test_schedule_of_a_data_job_is_cron_and_nothing_else(schedule: str) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        archetypes.complete_parameters(archetypes.find("data_job", ROOT), {"schedule": schedule})
    assert caught.value.pointer == "/parameters/schedule"
