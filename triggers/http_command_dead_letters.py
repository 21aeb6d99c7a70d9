"""Commands that nobody could take: looking at them, sending them once more, giving them up."""

import re
from dataclasses import asdict
from typing import Any

from pydantic import Field
from pydantic.alias_generators import to_camel

from shared import authorisation
from shared.authorisation import CONTROL_COMMANDS
from shared.clients import service_bus
from shared.errors import RequestRejectedError
from shared.log import LOGGER
from shared.models import Model
from shared.register import commands
from triggers._http import Answer, Call, endpoint

_MAIN = "commands/dead-letters"
_SHOWN = 100


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
    identifier = await service_bus.replay(sequence)
    LOGGER.warning("%s replays the dead letter %s as %s", call.caller.id, sequence, identifier)
    return Answer(202, ReplayedCommand(id=identifier).document())


@endpoint(
    "POST",
    f"{_MAIN}/{{sequence}}/discard",
    action=CONTROL_COMMANDS,
    summary="Give a command up.",
    answers={204: "It is gone."},
)
async def discard_command(call: Call) -> Answer:
    """Take a dead letter away for good."""
    authorisation.require(call.caller, CONTROL_COMMANDS)
    sequence = _sequence(call)
    await service_bus.discard(sequence)
    LOGGER.warning("%s discards the dead letter %s", call.caller.id, sequence)
    return Answer(204)


def _sequence(call: Call) -> int:
    text = call.params.get("sequence", "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise RequestRejectedError("unknown-dead-letter", f"There is no dead letter {text[:40]}.", status=404)
    return int(text)
