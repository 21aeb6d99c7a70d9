"""Text of people comes out as it went in, wherever it comes out, and is interpreted nowhere."""

import tomllib
from pathlib import Path

import copier
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.archetypes.rendering import HOSTILE, contents, render

MAY_HOLD_TEXT = {"README.md", "docs/prd.md", "catalog-info.yaml", "pyproject.toml", ".copier-answers.yml"}
TEXTS = [
    HOSTILE,
    "```\n# not a heading\n````\n<script>alert(1)</script>",
    "[% include '/etc/passwd' %][# gone? #][[ application ]]",
    "---\nkind: System\n'\"\\ \\n: #",
    "next\x85line \u2028 separator \u2029 paragraph \ufeff mark \u202e reversed \U0001f4b3 ends",
    "carriage\r\nreturn\rand tab\t",
    "  spaces at both ends  ",
    "@everyone **bold** | cell | ![x](javascript:alert(1)) %{ if true }",
]
INTAKE = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), whitelist_characters="\t\n\r"), min_size=1, max_size=60
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same repository with a harmless description."""
    return contents(render(tmp_path_factory.mktemp("plain"), description="plain"))


def read_back(repository: Path) -> dict[str, str]:
    """Read the description from each place that holds it, as that place's own reader does."""
    entities = yaml.safe_load_all((repository / "catalog-info.yaml").read_text(encoding="utf-8"))
    described = {entity["kind"]: entity["metadata"]["description"] for entity in entities}
    return {
        "system": described["System"],
        "component": described["Component"],
        "project": tomllib.loads(_text(repository / "pyproject.toml"))["project"]["description"],
        "answers": yaml.safe_load(_text(repository / ".copier-answers.yml"))["description"],
        "readme": _fence(repository / "README.md"),
        "requirements": _fence(repository / "docs/prd.md"),
    }


def _fence(path: Path) -> str:
    """The first fenced block of a Markdown file."""
    return next(token.content for token in MarkdownIt().parse(_text(path)) if token.type == "fence").removesuffix("\n")


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def _lines(text: str) -> str:
    """Markdown has one kind of line end, and shows no NUL."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")


def check(repository: Path, text: str) -> None:
    found = read_back(repository)
    for document in ("readme", "requirements"):
        assert _lines(found.pop(document)) == _lines(text)
    assert found == dict.fromkeys(found, text)


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_out_as_it_went_in_and_changes_nothing_else(
    tmp_path: Path, text: str, plain: dict[str, bytes]
) -> None:
    check(render(tmp_path, description=text), text)
    hostile = contents(tmp_path)
    assert set(plain) == set(hostile)
    assert {name for name in plain if plain[name] != hostile[name]} == MAY_HOLD_TEXT


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=INTAKE)
def test_any_text_that_intake_lets_in_comes_out_as_it_went_in(tmp_path: Path, text: str) -> None:
    check(render(tmp_path, description=text), text)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("application", "Payments"),
        ("application", "pay\n"),
        ("application", "../up"),
        ("owner_team", "payments\n* @somebody"),
        ("contact", "a@b.c> <script>"),
        ("cost_center", 'CC"'),
        ("data_classification", "secret: true"),
        ("environments", ["dev", "../x"]),
        ("environments", []),
        ("region", "west europe"),
        ("database", "oracle"),
        ("repository", "contoso"),
        ("archetype_version", "latest"),
        ("request_id", "${{ github.token }}"),
        ("hostnames", {"dev": "x"}),
        ("hostnames", {"dev": "a.b\nc", "qa": "a.b", "prod": "a.b"}),
    ],
)
def test_answer_that_is_not_free_text_is_refused(tmp_path: Path, answer: str, value: object) -> None:
    changed = {"hostnames": {"dev": "a.b", "qa": "a.b", "prod": "a.b"}, answer: value}
    with pytest.raises((ValueError, copier.errors.UserMessageError)):
        render(tmp_path, **changed)


def test_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    first = contents(render(tmp_path / "first", description=HOSTILE))
    assert first == contents(render(tmp_path / "second" / "elsewhere", description=HOSTILE))
    assert not any(str(tmp_path).encode() in content for content in first.values())
