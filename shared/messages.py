"""Messages in the form of each chat: an Adaptive Card for Teams, Block Kit for Slack. Pure: no call, no clock.

Whatever a person typed must stay text. In a card it goes into text runs, which know no markdown; Slack's three control
characters are replaced in every text.

Documentation: https://adaptivecards.io/explorer/TextRun.html, https://api.slack.com/reference/surfaces/formatting
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from shared.models.messages import Link, Message

CARD_LIMIT = 20 * 1024  # bytes of the card; 21 KB with the envelope are certain to get through Workflows
_CARD_TEXT = 2000
_PRIMARY_ACTIONS = 5  # Teams shows six; those after them are behind "..."
_BLOCK_TEXT = 3000
_HEADER_TEXT = 150
_FALLBACK_TEXT = 3000
_LEAST = 20  # characters: less of a line says nothing
_MORE = "…"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

type Document = dict[str, Any]


def adaptive_card(message: Message) -> Document:
    """The message as an Adaptive Card; links are its only actions.

    Documentation: https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference
    """
    card = _card(message)
    while size_of(card) > CARD_LIMIT and (shorter := _shorter(message)) is not None:
        message = shorter
        card = _card(message)
    return card


def size_of(document: Document) -> int:
    """Bytes of a document as it is sent."""
    return len(json.dumps(document, ensure_ascii=False).encode())


def _shorter(message: Message) -> Message | None:
    """The message with less of what is longest; None when there is nothing left to leave out."""
    if len(message.items) > 1:
        kept = len(message.items) // 2
        return message.model_copy(update={"items": message.items[:kept]})
    if len(message.text) > _HEADER_TEXT:
        return message.model_copy(update={"text": cut(message.text, len(message.text) // 2)})
    for name in ("items", "next_steps", "facts", "links"):
        if getattr(message, name):
            return message.model_copy(update={name: getattr(message, name)[:-1]})
    return None


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, the last one telling that there was more."""
    return text if len(text) <= limit else text[: limit - 1] + _MORE


def _card(message: Message) -> Document:
    body = [_runs((message.title, True), size="Large")]
    body += [_runs((message.text, False))] if message.text else []
    body += [_runs(("- ", False), (item, False)) for item in message.items]
    body += [_runs((f"{fact.name}: ", True), (fact.value, False)) for fact in message.facts]
    body += [_runs((step, False), separator=number == 0) for number, step in enumerate(message.next_steps)]
    actions = [
        {"type": "Action.OpenUrl", "title": cut(link.title, _HEADER_TEXT), "url": link.url}
        | ({"mode": "secondary"} if number >= _PRIMARY_ACTIONS else {})
        for number, link in enumerate(_web(message.links))
    ]
    card: Document = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.5",
        "fallbackText": cut(message.title, _HEADER_TEXT),
        "body": body,
    }
    return card | ({"actions": actions} if actions else {})


def _runs(*texts: tuple[str, bool], size: str = "Default", separator: bool = False) -> Document:
    """A paragraph of text runs; the flag makes one bold."""
    runs = [
        {"type": "TextRun", "text": cut(text, _CARD_TEXT), "size": size, "weight": "Bolder" if bold else "Default"}
        for text, bold in texts
    ]
    return {"type": "RichTextBlock", "inlines": runs} | ({"separator": True} if separator else {})


def _web(links: list[Link]) -> Iterator[Link]:
    """Links that a browser opens, each address once."""
    seen = set()
    for link in links:
        if link.url.startswith("https://") and link.url not in seen:
            seen.add(link.url)
            yield link


def blocks(message: Message) -> list[Document]:
    """The message as Block Kit blocks: a header and at most five sections.

    Documentation: https://api.slack.com/reference/block-kit/blocks
    """
    header = {"type": "plain_text", "text": _escaped(message.title, _HEADER_TEXT), "emoji": False}
    paragraphs = (
        [message.text] if message.text else [],
        [f"• {item}" for item in message.items],
        [f"{fact.name}: {fact.value}" for fact in message.facts],
        list(message.next_steps),
    )
    texts = [_joined(lines, _escaped) for lines in paragraphs if lines]
    texts.append(_joined([f"{link.url}\n{link.title}" for link in _web(message.links)], _anchor))
    sections = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}} for text in texts if text
    ]
    return [{"type": "header", "text": header}, *sections]


def fallback(message: Message) -> str:
    """The message as one text, for notifications and screen readers."""
    facts = [f"{fact.name}: {fact.value}" for fact in message.facts]
    lines = [message.title, message.text, *message.items, *facts, *message.next_steps]
    return _joined([line for line in lines if line], _escaped, _FALLBACK_TEXT)


def _joined(lines: list[str], written: Callable[[str, int], str], limit: int = _BLOCK_TEXT) -> str:
    """As many lines as fit; a link is never cut in two."""
    text = ""
    for line in lines:
        room = limit - len(text) - 2 * len("\n") - len(_MORE)
        added = written(line, room) if room > _LEAST else ""
        if not added:
            return text + "\n" + _MORE if text else text
        text += ("\n" if text else "") + added
    return text


def _escaped(text: str, limit: int) -> str:
    """The text without Slack's control characters, cut so that no entity is torn."""
    written = ""
    for letter in text:
        following = _ESCAPES.get(letter, letter)
        if len(written) + len(following) > limit - len(_MORE):
            return written + _MORE
        written += following
    return written


def _anchor(pair: str, limit: int) -> str:
    """A link; empty when there is no room for it."""
    url, _, title = pair.partition("\n")
    address = url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E")
    text = f"<{address}|{_escaped(title.replace('|', '/'), _HEADER_TEXT)}>"
    return text if len(text) <= limit else ""
