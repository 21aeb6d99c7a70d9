"""Commands that nobody could take: looking at them, sending them once more, giving them up."""

import re
from collections.abc import Awaitable
from dataclasses import asdict
from typing import Any

from pydantic import Field
from pydantic.alias_generators import to_camel

from shared import authorisation
from shared.authorisation import CONTROL_COMMANDS
from shared.clients import service_bus
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.models import Model
from shared.models.commands import DecidedDeadLetter
from shared.register import commands
from triggers._http import Answer, Call, endpoint

_MAIN = "commands/dead-letters"
_SHOWN = 100
REPLAY, DISCARD = "replay", "discard"


class CommandDeadLetters(Model):
    """Dead letters (a repeat may help) and rejected commands (none would)."""

    dead_letters: list[dict[str, Any]] = Field(description="Oldest first, 100 at most.")
    rejected: list[dict[str, Any]] = Field(description="Newest first, 100 at most.")


class ReplayedCommand(Model):
    """A dead letter that was sent once more."""

    id: str = Field(description="Id of the new message.")


@endpoint(
    "GET",
    _MAIN,
    action=CONTROL_COMMANDS,
    summary="Commands that nobody could take.",
    answers={200: CommandDeadLetters},
)
async def list_command_dead_letters(call: Call) -> Answer:
    """List dead letters and rejected commands; looking changes nothing."""
    authorisation.require(call.caller, CONTROL_COMMANDS)
    dead = [{to_camel(name): value for name, value in asdict(one).items()} for one in await service_bus.dead_letters()]
    rejected = [record.document() for record in await commands.rejected(_SHOWN)]
    return Answer(200, {"deadLetters": dead, "rejected": rejected})


@endpoint(
    "POST",
    f"{_MAIN}/{{sequence}}/replay",
    action=CONTROL_COMMANDS,
    summary="Send a command once more, at the end of its session.",
    answers={202: ReplayedCommand},
)
async def replay_command(call: Call) -> Answer:
    """Send a dead letter again; three times at most, and a repeat of this call sends nothing twice."""
    authorisation.require(call.caller, CONTROL_COMMANDS)
    sequence = _sequence(call)
    held = await commands.decided(sequence)
    if held is None:
        held = await _decide(call, sequence, REPLAY, await service_bus.copy_id(sequence))
    _require(held, REPLAY)
    await _unless_gone(service_bus.replay(sequence))
    return Answer(202, ReplayedCommand(id=held.copy_id).document())


@endpoint(
    "POST",
    f"{_MAIN}/{{sequence}}/discard",
    action=CONTROL_COMMANDS,
    summary="Give a command up.",
    answers={204: "It is gone."},
)
async def discard_command(call: Call) -> Answer:
    """Take a dead letter away for good; a repeat changes nothing."""
    authorisation.require(call.caller, CONTROL_COMMANDS)
    sequence = _sequence(call)
    held = await commands.decided(sequence)
    if held is None:
        await service_bus.require_dead_letter(sequence)
        held = await _decide(call, sequence, DISCARD)
    _require(held, DISCARD)
    await _unless_gone(service_bus.discard(sequence))
    return Answer(204)


async def _decide(call: Call, sequence: int, decision: str, copy_id: str = "") -> DecidedDeadLetter:
    """Record the decision before anything is done: whoever dies afterwards finds it and finishes the work."""
    record = DecidedDeadLetter(
        sequence=sequence, decision=decision, copy_id=copy_id, actor=call.caller.id, at=utc_now()
    )
    return await commands.decide(record)


def _require(held: DecidedDeadLetter, decision: str) -> None:
    if held.decision != decision:
        detail = f"Somebody decided otherwise about the dead letter {held.sequence}: {held.decision}."
        raise RequestRejectedError("decided-otherwise", detail, status=409)


async def _unless_gone(work: Awaitable[object]) -> None:
    """Do what was decided; a dead letter that is gone shows that it was done before."""
    try:
        await work
    except RequestRejectedError as error:
        if error.code != "unknown-dead-letter":
            raise


def _sequence(call: Call) -> int:
    text = call.params.get("sequence", "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise RequestRejectedError("unknown-dead-letter", f"There is no dead letter {text[:40]}.", status=404)
    return int(text)
