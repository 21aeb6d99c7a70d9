"""The documents of a generated repository: complete, linked, and with sections that somebody may fill later."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.archetypes.rendering import HOSTILE, render

DOCUMENTS = {
    "docs/prd.md": {"users", "requirements", "measures", "out-of-scope"},
    "docs/adr/0001-start-from-the-archetype.md": {"consequences", "alternatives"},
    "docs/runbook.md": {"known-failures"},
    "docs/checklist.md": {"before-first-caller", "before-data", "compliance"},
}
SECTION = re.compile(r"<!-- appstore:section ([a-z-]+) -->\n(.+?)\n<!-- /appstore:section \1 -->", re.DOTALL)
MARKER = re.compile(r"^<!-- /?appstore:section .*-->$", re.MULTILINE)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_sections_are_whole_and_say_something_already(repository: Path, path: str) -> None:
    text = (repository / path).read_text()
    sections = dict(SECTION.findall(text))
    assert set(sections) == DOCUMENTS[path]
    assert len(MARKER.findall(text)) == 2 * len(sections)
    assert all(content.strip() for content in sections.values())


def test_what_belongs_to_a_database_is_not_there_without_one(tmp_path: Path) -> None:
    text = (render(tmp_path, database="none") / "docs/checklist.md").read_text()
    assert set(dict(SECTION.findall(text))) == {"before-first-caller", "compliance"}


def test_navigation_and_links_lead_to_files(any_repository: Path) -> None:
    site = yaml.safe_load((any_repository / "mkdocs.yml").read_text())
    named = set(re.findall(r"[\w/-]+\.md", yaml.safe_dump(site["nav"])))
    there = {str(file.relative_to(any_repository / "docs")) for file in (any_repository / "docs").rglob("*.md")}
    assert named == there
    for document in [any_repository / "README.md", *(any_repository / "docs" / name for name in there)]:
        for target in _links(document.read_text()):
            assert (document.parent / target).is_file(), f"{document.name}: {target}"


def _links(text: str) -> list[str]:
    """Links to files of the repository."""
    inline = [token for token in MarkdownIt().parse(text) if token.type == "inline"]
    links = [
        str(child.attrGet("href")) for token in inline for child in token.children or [] if child.type == "link_open"
    ]
    return [link for link in links if not urlsplit(link).scheme]


def test_purpose_is_the_words_of_the_request_and_nothing_more(repository: Path) -> None:
    fences = [token for token in MarkdownIt().parse((repository / "docs/prd.md").read_text()) if token.type == "fence"]
    assert [fence.content.removesuffix("\n") for fence in fences] == [HOSTILE]
