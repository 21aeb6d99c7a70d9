"""What is told, in the form of each chat: complete, harmless whatever a person typed, never too long."""

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from shared import notices
from shared.clients import slack, teams
from shared.configuration import wrong
from shared.errors import ConfigurationError
from shared.messages import CARD_LIMIT, adaptive_card, blocks, fallback, size_of
from shared.models.break_glass import BreakGlass
from shared.models.clean_up import OrphanRecord
from shared.models.messages import Fact, Link, Message, MessageKind
from shared.models.operations import Occasion, OperationRecord, OperationState
from shared.models.plan import MadeObject
from shared.models.problem import Problem
from shared.models.promotions import PromotionKind, PromotionRecord, PromotionState
from tests.e2e import contracts
from tests.unit.test_authorisation import record

HOSTILE = (
    "<!everyone> <!channel> <@U0BOSS> <https://evil.example|click> [click](https://evil.example) ![x](https://evil.example)"
    " **bold** # title <at>Boss</at> <script>alert(1)</script> &lt; {{DATE(2026-01-01T00:00:00Z)}} ${evil} | `code`"
)
LINKS = [Link(title="Repository", url="https://github.com/contoso/payments-api"), Link(title="x", url="javascript:0")]
PROBLEM = Problem(code="integration-conflict", title="Conflict", detail=f"There: {HOSTILE}", step="ensure_repository")
GRANT = BreakGlass(
    plan_digest="a" * 64,
    actor="x",
    actor_name=HOSTILE,
    reason=HOSTILE,
    ticket="INC0012345",
    second_person="somebody@contoso.com",
    granted_at="2026-11-25T12:00:00Z",
    expires_at="2026-11-25T20:00:00Z",
)
RESIDUE = [MadeObject(system="servicenow", type="change request", name="CHG0000001")]

PROMOTION = PromotionRecord(
    id="pro-0123456789ab",
    application="payments-api",
    kind=PromotionKind.ROLL_BACK,
    state=PromotionState.PARKED,
    source="qa",
    target="prod",
    body_hash="x",
    tenant="t",
    requester="requester",
    requester_name=HOSTILE,
    owner_team="payments",
    request_id="req-0123456789ab",
    instance_id="i",
    problem=PROBLEM,
    created_at="2026-11-25T12:00:00.000Z",
    updated_at="2026-11-25T12:00:00.000Z",
)

type Document = dict[str, Any]


def messages() -> dict[str, Message]:
    """One of each kind, as the product writes it, with hostile texts."""
    hostile = record()
    body = hostile.body.model_copy(update={"description": HOSTILE})
    hostile = hostile.model_copy(update={"body": body, "requester_name": HOSTILE, "result": {"missing": [HOSTILE]}})
    told = {
        kind.value: notices.notice(
            kind, hostile, base="https://appstore.example/api", attempt=1, problem=problem, residue=residue
        )
        for kind, problem, residue in (
            (MessageKind.REMINDER, None, []),
            (MessageKind.ESCALATION, None, []),
            (MessageKind.GRANT_ENDED, None, []),
            (MessageKind.PARKED, PROBLEM, []),
            (MessageKind.DEGRADED, PROBLEM, []),
            (MessageKind.EXPIRED, None, []),
            (MessageKind.UNDONE, None, []),
            (MessageKind.RESIDUE, None, RESIDUE),
        )
    }
    for days in (14, None):
        ending = notices.expiry(hostile, "2026-12-31", days, base="https://appstore.example/api")
        told[ending.kind.value] = ending
    stuck = OperationRecord(
        id="op-0123456789ab",
        operation="reconcile-tags",
        application=hostile.application,
        occasion=Occasion.TIMER,
        business_key="k",
        state=OperationState.PARTIAL,
        requester="appstore",
        requester_name=HOSTILE,
        owner_team="payments",
        body_hash="x",
        instance_id="i",
        created_at="2026-11-25T12:00:00.000Z",
        updated_at="2026-11-25T12:00:00.000Z",
        problem=PROBLEM,
    )
    day = date(2026, 12, 31)
    orphan = OrphanRecord(
        application=hostile.application,
        environment="dev",
        resource=f"/subscriptions/x/resourceGroups/x/providers/Microsoft.Compute/disks/{HOSTILE}",
        kind="Microsoft.Compute/disks",
        policy="disk-unattached",
        first_seen=day,
        last_seen=day,
        due=day,
    )
    told["removal"] = notices.removal(hostile, [orphan], 14, base="https://appstore.example/api")
    told["operation"] = notices.operation(stuck, hostile, "https://appstore.example/api")
    told["promotion"] = notices.promotion(PROMOTION, hostile, "https://appstore.example/api")
    broken = notices.broken_glass(hostile, GRANT, "https://appstore.example/api", 1)
    return told | {"welcome": notices.welcome(hostile, LINKS), "break_glass": broken}


MESSAGES = messages()
LONG = Message(
    kind=MessageKind.RESIDUE,
    title="t" * 500,
    text="&" * 9000,
    facts=[Fact(name="n" * 300, value="é" * 3000) for _ in range(20)],
    items=["<" * 400 for _ in range(300)],
    links=[Link(title="l" * 300, url=f"https://example.com/{number}/{'a' * 1800}") for number in range(20)],
    next_steps=["s" * 3000 for _ in range(5)],
)
ALL = MESSAGES | {"long": LONG}


def _elements(document: Any) -> Iterator[Document]:
    if isinstance(document, dict):
        yield document
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            yield from _elements(item)


def test_every_kind_is_told() -> None:
    assert set(MESSAGES) == set(MessageKind)


@pytest.mark.parametrize("name", ALL)
def test_in_a_card_no_typed_text_is_read_as_markdown(name: str) -> None:
    """Text blocks and facts know markdown and dates, text runs and buttons do not."""
    card = adaptive_card(ALL[name])
    kinds = {element["type"] for element in _elements(card) if "type" in element}
    assert kinds <= {"AdaptiveCard", "RichTextBlock", "TextRun", "Action.OpenUrl"}
    assert all(action["url"].startswith("https://") for action in card.get("actions", []))
    assert size_of(card) <= CARD_LIMIT


@pytest.mark.parametrize("name", ALL)
def test_in_slack_no_typed_text_is_a_mention_or_a_link(name: str) -> None:
    for text in _texts(ALL[name]):
        for marked in re.findall(r"<[^>]*>", text):
            assert re.fullmatch(r"<https://[^|<>]+\|[^|<>]+>", marked), marked
            assert not marked.startswith("<https://evil")
        assert re.fullmatch(r"(?:[^&]|&(?:amp|lt|gt);)*", text, re.DOTALL), "an entity is torn"
        assert text.count("<") == text.count(">")


def _texts(message: Message) -> list[str]:
    return [fallback(message), *(block["text"]["text"] for block in blocks(message))]


@pytest.mark.parametrize("name", ALL)
def test_in_slack_nothing_is_too_long_or_empty(name: str) -> None:
    shown = blocks(ALL[name])
    assert len(shown) <= 50
    limits = {"header": 150, "section": 3000}
    assert all(0 < len(block["text"]["text"]) <= limits[block["type"]] for block in shown)
    assert {block["text"]["type"] for block in shown if block["type"] == "header"} == {"plain_text"}
    assert len(fallback(ALL[name])) <= 3000


@pytest.mark.parametrize("kind", MESSAGES)
def test_what_matters_is_in_both_forms(kind: str) -> None:
    message = MESSAGES[kind]
    card = json.dumps(adaptive_card(message))
    assert message.title in card
    assert "req-1" in card
    slack = " ".join(_texts(message))
    assert message.title in slack
    assert "req-1" in slack
    for step in message.next_steps:
        assert step in card
        assert step in slack


def test_the_text_that_was_typed_is_still_there() -> None:
    runs = [run["text"] for run in _elements(adaptive_card(MESSAGES["welcome"])) if run.get("type") == "TextRun"]
    assert HOSTILE in runs
    back = " ".join(_texts(MESSAGES["welcome"])).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert HOSTILE in back


def test_only_web_addresses_are_links() -> None:
    assert [action["url"] for action in adaptive_card(MESSAGES["welcome"])["actions"]] == [LINKS[0].url]
    assert "javascript" not in " ".join(_texts(MESSAGES["welcome"]))


def test_a_notice_says_what_to_do() -> None:
    assert MESSAGES["parked"].next_steps[0].endswith("POST https://appstore.example/api/requests/req-1/retry")
    undoing = record().model_copy(update={"undo_begun": True})
    stuck = notices.notice(MessageKind.PARKED, undoing, base="/api", attempt=1, problem=PROBLEM)
    assert [step.rpartition("/")[2] for step in stuck.next_steps] == ["undo"]
    assert MESSAGES["residue"].items == ["servicenow change request CHG0000001"]


def _card_errors(card: Document) -> list[str]:
    module = contracts.load_module()
    if module is None:
        pytest.skip(f"the vendors' contracts are not at {contracts.FOLDER}: cards were not held against their schema")
    errors: list[str] = module.card_errors(card)
    return errors


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", ALL)
def test_a_card_fits_its_schema(name: str) -> None:
    card = adaptive_card(ALL[name])
    assert _card_errors(card) == []
    assert _card_errors(card | {"body": [{"type": "RichTextBlock"}]}), "the schema refuses nothing"


def test_one_chat_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_KEY_VAULT", "https://kv.vault.azure.net")
    monkeypatch.setenv("SLACK_CHANNEL", "")
    assert (teams.configured(), slack.configured()) == (True, False)
    monkeypatch.setenv("SLACK_CHANNEL", "C0APPSTORE")
    found = wrong(slack.SlackSettings)
    assert set(found) == {"SLACK_CHANNEL"}
    assert found["SLACK_CHANNEL"].startswith("SLACK_CHANNEL and TEAMS_KEY_VAULT are both set")
    with pytest.raises(ConfigurationError, match="SLACK_CHANNEL and TEAMS_KEY_VAULT"):
        slack.configured()
    monkeypatch.setenv("TEAMS_KEY_VAULT", " ")
    assert slack.configured()
