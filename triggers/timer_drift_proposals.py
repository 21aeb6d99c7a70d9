"""Every five minutes the open pull requests of drift are looked at: merged, closed, or no longer true."""

from datetime import UTC, datetime

import azure.durable_functions as df
import azure.functions as func

from activities.drift_proposals import settle
from shared.errors import NotFoundError, RequestRejectedError, TransientIntegrationError
from shared.log import LOGGER
from shared.models.drift_proposals import ProposalRecord, ProposalState
from shared.register import drift_proposals as proposals

blueprint = df.Blueprint()
MINUTES = 5
AT_ONCE = 60  # of GitHub's 5,000 calls an hour at most some 800 go into looking
_S = ProposalState


async def watch_drift_proposals(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host sets it
    """Look at so many as one round may; each round begins at another place."""
    await look_at(datetime.now(UTC))


async def look_at(now: datetime) -> None:
    """Look at one round's share; a rate limit ends the round."""
    waiting = [row async for row in proposals.in_states((_S.OPENING, _S.OPEN, _S.WITHDRAWING))]
    waiting.sort(key=lambda row: (row.application, row.environment))
    first = int(now.timestamp() // (60 * MINUTES)) * AT_ONCE % max(len(waiting), 1)
    for row in [*waiting[first:], *waiting[:first]][:AT_ONCE]:
        try:
            await _settle(row)
        except TransientIntegrationError as error:
            LOGGER.warning("GitHub does not answer, the rest waits for another round: %s", error)
            return
        except Exception:  # noqa: BLE001 - one that cannot be looked at does not keep the others from it
            LOGGER.exception("the proposal of %s %s could not be looked at", row.application, row.environment)


async def _settle(row: ProposalRecord) -> None:
    try:
        await settle(row.application, row.environment)
    except RequestRejectedError as error:
        LOGGER.info("the proposal of %s %s waits: %s", row.application, row.environment, error)
    except NotFoundError as error:
        await proposals.replace(row, state=_S.CLOSED, detail=str(error)[:500])


timed = blueprint.timer_trigger(arg_name="timer", schedule=f"0 */{MINUTES} * * * *")(watch_drift_proposals)
blueprint.function_name("watch_drift_proposals")(timed)
