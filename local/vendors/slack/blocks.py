"""Block Kit as far as messages need it.

https://docs.slack.dev/reference/block-kit/blocks
https://docs.slack.dev/reference/block-kit/composition-objects/text-object
"""

from typing import Any

LONGEST = {"header": 150, "section": 3000, "context": 3000}
MOST_BLOCKS = 50


class Refused(Exception):  # noqa: N818 -- an answer to the caller, not an error of the stand-in
    """The error code of an answer, and further members as pairs."""


def check(blocks: Any) -> None:
    """Refuse what Slack refuses, or what the stand-in does not know. Raises Refused."""
    if not isinstance(blocks, list):
        raise _invalid("blocks must be an array")
    if len(blocks) > MOST_BLOCKS:
        raise _invalid(f"no more than {MOST_BLOCKS} items allowed [json-pointer:/blocks]")
    for number, block in enumerate(blocks):
        _check(block, f"/blocks/{number}")


def _check(block: Any, place: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "divider":
        return
    if kind not in LONGEST:
        raise _invalid(f"unsupported type: {kind} [json-pointer:{place}/type]")
    texts = block.get("elements", []) if kind == "context" else [block.get("text")]
    for text in texts:
        _check_text(text, kind, f"{place}/text")


def _check_text(text: Any, kind: str, place: str) -> None:
    allowed = ("plain_text",) if kind == "header" else ("plain_text", "mrkdwn")
    if not isinstance(text, dict) or text.get("type") not in allowed:
        raise _invalid(f"must be one of {', '.join(allowed)} [json-pointer:{place}]")
    content = text.get("text")
    if not isinstance(content, str) or not content:
        raise _invalid(f"must be more than 0 characters [json-pointer:{place}/text]")
    if len(content) > LONGEST[kind]:
        raise _invalid(f"must be less than {LONGEST[kind] + 1} characters [json-pointer:{place}/text]")
    unknown = (
        set(text) - {"type", "text", "emoji"}
        if text["type"] == "plain_text"
        else set(text) - {"type", "text", "verbatim"}
    )
    if unknown:
        raise _invalid(f"no more properties allowed: {', '.join(sorted(unknown))} [json-pointer:{place}]")


def _invalid(why: str) -> Refused:
    return Refused("invalid_blocks", ("errors", [why]), ("response_metadata", {"messages": [f"[ERROR] {why}"]}))
