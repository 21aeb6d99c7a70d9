"""A new skeleton and a repository that people have worked in: what is taken, what is merged, what a person must see."""

import subprocess

import pytest

from shared.template_merge import Merged, blob_id, both_changed, merge

OLD = {"app.py": "one\ntwo\nthree\nfour\nfive\n", "same": "x\n", "gone": "y\n"}
NEW = {"app.py": "ONE\ntwo\nthree\nfour\nfive\n", "same": "x\n", "fresh": "z\n"}


def merged(old: dict[str, str], ours: dict[str, str], new: dict[str, str]) -> Merged:
    ids = [{path: blob_id(text) for path, text in side.items()} for side in (old, ours, new)]
    texts = {path: (old.get(path), ours.get(path)) for path in both_changed(*ids)}
    return merge(*ids, new=new, texts=texts, names=("main", "api 2.0.0"))


def test_what_nobody_touched_becomes_the_new_version() -> None:
    found = merged(OLD, {**OLD, "own.py": "theirs alone\n"}, NEW)
    assert found == Merged({"app.py": NEW["app.py"], "fresh": "z\n"}, ["gone"], [])


def test_lines_of_both_sides_come_together() -> None:
    found = merged(OLD, {**OLD, "app.py": OLD["app.py"].replace("five", "FIVE")}, NEW)
    assert found.files["app.py"] == "ONE\ntwo\nthree\nfour\nFIVE\n"
    assert found.conflicts == []


def test_the_same_lines_changed_twice_are_marked() -> None:
    found = merged(OLD, {**OLD, "app.py": OLD["app.py"].replace("one", "uno")}, NEW)
    assert found.conflicts == ["app.py"]
    assert found.files["app.py"].startswith("<<<<<<< main\nuno\n=======\nONE\n>>>>>>> api 2.0.0\ntwo\n")


@pytest.mark.parametrize(
    ("ours", "kept"),
    [
        ({**OLD, "gone": "changed\n"}, ["gone"]),
        ({path: text for path, text in OLD.items() if path != "app.py"}, ["app.py"]),
        ({**OLD, "fresh": "our own\n"}, ["fresh"]),
    ],
    ids=["taken away there, changed here", "taken away here, changed there", "made on both sides"],
)
def test_one_side_took_away_what_the_other_changed(ours: dict[str, str], kept: list[str]) -> None:
    assert merged(OLD, ours, NEW).conflicts == kept


def test_what_both_did_alike_is_no_change() -> None:
    assert merged(OLD, NEW, NEW) == Merged()


def test_a_last_line_without_an_end_keeps_no_marker_on_it() -> None:
    found = merged({"a": "one"}, {"a": "uno"}, {"a": "ONE"})
    assert found.files["a"].splitlines() == ["<<<<<<< main", "uno", "=======", "ONE", ">>>>>>> api 2.0.0"]


def test_ids_are_those_of_git() -> None:
    text = "Grüße\n"
    git = subprocess.run(["git", "hash-object", "--stdin"], input=text.encode(), capture_output=True, check=True)
    assert blob_id(text) == git.stdout.decode().strip()
