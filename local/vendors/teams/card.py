"""Adaptive Cards as Teams takes them: what is refused, and how one looks.

https://adaptivecards.io/explorer/
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference
"""

import re
from html import escape
from typing import Any
from urllib.parse import urlsplit

# What an element needs, and which of its members hold elements. Others are not known to the stand-in: it refuses them.
ELEMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "TextBlock": (("text",), ()),
    "RichTextBlock": (("inlines",), ("inlines",)),
    "TextRun": (("text",), ()),
    "FactSet": (("facts",), ()),
    "Container": (("items",), ("items",)),
    "ActionSet": (("actions",), ("actions",)),
    "Action.OpenUrl": (("url",), ()),
}
NEWEST = (1, 5)
MARKDOWN = re.compile(r"\[([^\]]*)\]\((https?://[^)\s]+)\)")


class Wrong(Exception):  # noqa: N818 -- what the run history says, not an error of the stand-in
    """Why a card cannot be posted."""


def check(card: Any) -> None:
    """Refuse what Teams refuses, or what the stand-in does not know. Raises Wrong."""
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        raise Wrong("InvalidAdaptiveCard: the content must be an AdaptiveCard")
    version = re.fullmatch(r"1\.(\d)", str(card.get("version", "")))
    if not version or (1, int(version[1])) > NEWEST:
        raise Wrong(f"InvalidAdaptiveCard: version {card.get('version')} is not supported")
    for name in ("body", "actions"):
        _check_all(card.get(name, []), action=name == "actions")


def _check_all(elements: Any, *, action: bool) -> None:
    if not isinstance(elements, list):
        raise Wrong("InvalidAdaptiveCard: a list of elements is expected")
    for element in elements:
        kind = element.get("type") if isinstance(element, dict) else None
        if kind not in ELEMENTS or kind.startswith("Action.") is not action:
            raise Wrong(f"InvalidAdaptiveCard: {kind} is not supported here")
        needed, holders = ELEMENTS[kind]
        if missing := [name for name in needed if not element.get(name)]:
            raise Wrong(f"InvalidAdaptiveCard: {kind} lacks {', '.join(missing)}")
        if kind == "Action.OpenUrl" and urlsplit(element["url"]).scheme not in ("http", "https"):
            raise Wrong(f"InvalidAdaptiveCard: {element['url']} is not a web address")
        for name in holders:
            _check_all(element[name], action=name == "actions")


def page(messages: list[dict[str, Any]]) -> str:
    """The channel for a browser: only text blocks know markdown, as in Teams."""
    shown = "".join(f"<article><small>{escape(item['at'])}</small>{_all(item['card'])}</article>" for item in messages)
    style = "article{border:1px solid #ccc;border-radius:6px;margin:1em;padding:1em;font-family:sans-serif}"
    return f"<!doctype html><meta charset=utf-8><title>Teams</title><style>{style}</style><h1>Teams</h1>{shown}"


def _all(card: dict[str, Any]) -> str:
    actions = "".join(
        f"<a href='{escape(action['url'])}'>{escape(action.get('title', ''))}</a> "
        for action in card.get("actions", [])
    )
    return "".join(map(_element, card.get("body", []))) + f"<p>{actions}</p>"


def _element(element: dict[str, Any]) -> str:
    match element["type"]:
        case "TextBlock":
            return "<p>" + MARKDOWN.sub(r"<a href='\2'>\1</a>", escape(element["text"])) + "</p>"
        case "RichTextBlock":
            return "<p>" + "".join(map(_element, element["inlines"])) + "</p>"
        case "TextRun":
            bold = element.get("weight") == "Bolder"
            return f"<b>{escape(element['text'])}</b>" if bold else escape(element["text"])
        case "FactSet":
            return "".join(f"<p><b>{escape(f['title'])}</b> {escape(f['value'])}</p>" for f in element["facts"])
        case "Container":
            return "".join(map(_element, element["items"]))
    return ""
