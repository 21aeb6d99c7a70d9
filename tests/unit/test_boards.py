from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import archetypes
from shared.boards import mark, marked, owner_of
from shared.errors import ArchetypeError

ITEM: dict[str, Any] = {"id": "first", "title": "First", "body": "{application} at {hostname}", "column": "Ready"}
BOARD: dict[str, Any] = {"columns": ["Ready", "Done"], "items": [ITEM, {**ITEM, "id": "db", "when": {"database": "x"}}]}


def board(root: Path, document: object) -> archetypes.BoardTemplate:
    (root / "one").mkdir()
    (root / "one" / "board.yaml").write_text(yaml.safe_dump(document))
    return archetypes.board("one", root)


def test_a_mark_is_found_in_any_text() -> None:
    assert marked(f"Work\n\n<!-- {mark('req-1a', 'first-item')} -->") == ("req-1a", "first-item")
    assert marked(f"Made by the App Store, {mark('req-1a')}.") == ("req-1a", "")
    assert marked("appstore: req-1a") is None
    assert marked(None) is None
    assert owner_of("", None, mark("req-1a"), mark("req-2b")) == "req-1a"
    assert owner_of("nobody") is None


def test_items_are_chosen_by_parameters_and_filled_in(tmp_path: Path) -> None:
    template = board(tmp_path, BOARD)
    values = {"application": "shop", "hostname": "shop.example", "repository": ""}
    assert [item.id for item in archetypes.work_items(template, {"database": "none"}, **values)] == ["first"]
    (first, second) = archetypes.work_items(template, {"database": "x"}, **values)
    assert (first.body, second.id) == ("shop at shop.example", "db")


@pytest.mark.parametrize(
    "change",
    [
        {"items": [ITEM, ITEM]},
        {"items": [{**ITEM, "column": "None"}]},
        {"items": [{**ITEM, "id": "A b"}]},
        {"items": [{**ITEM, "colour": "red"}]},
        {"columns": ["Ready", "Ready"]},
        {"columns": ["Ready"]},
        {"items": [{"id": "first"}]},
    ],
)
def test_a_board_that_does_not_fit_together_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ArchetypeError, match=r"board\.yaml"):
        board(tmp_path, BOARD | change)


def test_every_archetype_has_a_board_whose_texts_can_be_filled_in() -> None:
    for archetype in archetypes.catalogue():
        template = archetypes.board(archetype.id)
        for item in template.items:
            assert set(item.when) <= set(archetype.parameters["properties"]), item.id
            assert item.body.format(application="a", repository="b", hostname="c")
        assert (
            len(archetypes.work_items(template, {"database": "none"}, application="", repository="", hostname="")) > 5
        )
