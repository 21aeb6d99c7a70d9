"""The end of an application over thirty days of virtual time, and its renewals."""

import asyncio
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared.errors import AppStoreError, RequestRejectedError, TransientIntegrationError
from shared.identity import Caller
from shared.models.messages import IntentRecord, MessageKind, SendAgain
from shared.models.records import ApplicationRecord, RequestRecord, RequestState
from shared.models.runs import FinishRequest
from shared.register import applications, audit, intents, requests
from shared.register._table import Write, commit, document_of
from shared.register.audit import Entry
from tests.integration.world import REQUESTER, DurableClient, World, caller, run_of
from triggers._expiry import look_after, look_after_all
from triggers._http import Answer, Call
from triggers.http_renewals import renew_application

TODAY = datetime.now(UTC).date()
APPROVER = caller("approver", "Approver")


async def running(world: World, days: int, **changes: Any) -> RequestRecord:
    """An application that runs and ends in so many days."""
    record = await world.order(expiresOn=str(TODAY + timedelta(days=days)), **changes)
    await _set(record, state="active")
    return record


async def _set(record: RequestRecord, **update: Any) -> None:
    entry = Entry(f"{record.id}:test:{sorted(update)}", record.created_at, "test", "test", record.id, "test")
    await applications.change(record.application, lambda now: (now.model_copy(update=update), entry))


async def application(record: RequestRecord) -> ApplicationRecord:
    found = await requests.application(record.application)
    assert found is not None
    return found


async def told(record: RequestRecord) -> list[IntentRecord]:
    return await intents.of_request(record.application, record.id)


async def look(record: RequestRecord, day: date) -> None:
    await look_after(await application(record), record, day)


async def test_thirty_days_with_restarts_and_duplicates_tell_each_thing_once(world: World) -> None:
    record = await running(world, 20)
    happened: dict[int, list[str]] = {}
    for number in range(31):
        day = TODAY + timedelta(days=number)
        before = len(await told(record))
        assert await look_after_all(day) == 0
        stale = await application(record)
        await asyncio.gather(*(look_after(stale, record, day) for _ in range(2)))  # other workers, the same day
        news = (await told(record))[before:]
        if news:
            happened[number] = [f"{item.kind} {item.message.text}" for item in news]
    assert list(happened) == [6, 13, 19, 21]
    assert [len(news) for news in happened.values()] == [1, 1, 1, 1]
    assert "14 days from now" in happened[6][0]
    assert "1 day from now" in happened[19][0]
    assert happened[21][0].startswith("application_expired")
    assert (await application(record)).state == "expired"
    trail = Counter(entry.action for entry in await audit.of_application(record.application))
    assert (trail["expires-soon"], trail["expired"]) == (3, 1)
    for intent in await told(record):
        again = SendAgain(run=run_of(record, "messages"), kind=intent.kind, occasion=intent.occasion)
        for _ in range(2):
            await world.value("send_due", again)
    assert len(world.told(record)) == 4
    assert {intent.state for intent in await told(record)} == {"sent"}


async def test_days_on_which_nobody_looked_are_not_made_up_for(world: World) -> None:
    record = await running(world, 20)
    await look(record, TODAY + timedelta(days=16))
    await look(record, TODAY + timedelta(days=30))
    assert [item.kind for item in await told(record)] == [MessageKind.EXPIRES_SOON, MessageKind.APPLICATION_EXPIRED]
    assert "7 days" in (await told(record))[0].message.text


async def test_an_answer_that_is_lost_after_the_write_tells_nobody_twice(world: World) -> None:
    record = await running(world, 5)
    world.fault(system="storage", method="POST", path=r"/\$batch", mode="status_after", status=500, times=None)
    with pytest.raises(TransientIntegrationError):
        await look(record, TODAY)
    world.heal()
    await look(record, TODAY)
    assert [item.kind for item in await told(record)] == [MessageKind.EXPIRES_SOON]


async def test_what_cannot_be_read_does_not_keep_the_others_from_being_told(world: World) -> None:
    record = await running(world, 5)
    await commit("broken-end-api", [Write("application", {"name": "broken-end-api"})])
    odd = await running(world, 5)
    await _set(odd, expires_on="soon")
    assert await look_after_all(TODAY) == 1
    assert [item.kind for item in await told(record)] == [MessageKind.EXPIRES_SOON]
    await commit("broken-end-api", [Write("application", None, force=True)])
    await _set(odd, expires_on=None, state="reserved")


async def test_what_has_no_end_or_is_not_there_yet_is_left_alone(world: World) -> None:
    reserved = await world.order(expiresOn=str(TODAY + timedelta(days=3)))
    endless = await world.order()
    await _set(endless, state="active")
    for day in (TODAY, TODAY + timedelta(days=400)):
        await look(reserved, day)
        await look(endless, day)
    assert not [*await told(reserved), *await told(endless)]


async def test_a_row_of_before_the_renewals_ends_as_its_request_says(world: World) -> None:
    record = await running(world, 5)
    document = document_of(await application(record))
    for name in ("expiresOn", "renewals", "renewal", "expiredAt"):
        del document[name]
    await commit(record.application, [Write("application", document, force=True)])
    await look(record, TODAY + timedelta(days=6))
    assert (await application(record)).state == "expired"


async def test_a_retry_does_not_make_an_expired_application_younger(world: World) -> None:
    record = await running(world, 5)
    await look(record, TODAY + timedelta(days=6))
    for old, new in ((RequestState.RECEIVED, RequestState.PLANNING), (RequestState.PLANNING, "awaiting_approval")):
        await _move(record, old, RequestState(new))
    await _move(record, RequestState.AWAITING_APPROVAL, RequestState.PROVISIONING)
    await world.value("finish_request", FinishRequest(run=run_of(record), state="degraded"))
    assert (await application(record)).state == "expired"


async def _move(record: RequestRecord, old: RequestState, new: RequestState) -> None:
    entry = Entry(f"{record.id}:{new}", record.created_at, "test", new, record.id, "test")
    change = {"state": new}
    await requests.transition(
        record.application, record.id, lambda row: row.model_copy(update=change), entry, expect=[old]
    )


# -- renewals --------------------------------------------------------------------------------------------------------


async def renew(record: RequestRecord, days: int, who: Caller = REQUESTER, reason: str = "the pilot goes on") -> Answer:
    """Ask for an end in so many days."""
    client: Any = DurableClient()
    raw = json.dumps({"expiresOn": str(TODAY + timedelta(days=days)), "reason": reason}).encode()
    headers = {"content-type": "application/json"}
    return await renew_application(Call(who, {"name": record.application}, {}, headers, client, raw, "/api"))


async def refused(record: RequestRecord, days: int, who: Caller = REQUESTER) -> tuple[int, str, str | None]:
    with pytest.raises(AppStoreError) as caught:
        await renew(record, days, who)
    assert isinstance(caught.value, RequestRejectedError)
    return caught.value.status, caught.value.code, caught.value.pointer


async def test_a_renewal_moves_the_end_and_tells_of_the_new_one(world: World) -> None:
    record = await running(world, 5)
    await look(record, TODAY)
    await look(record, TODAY + timedelta(days=6))
    first, again = await renew(record, 40), await renew(record, 40)
    assert (first.status, again.status) == (200, 200)
    assert first.document == again.document
    assert (first.document["state"], first.document["expiresOn"]) == ("active", str(TODAY + timedelta(days=40)))
    assert len(first.document["renewals"]) == 1
    await look(record, TODAY + timedelta(days=34))
    assert [item.kind for item in await told(record)] == ["expires_soon", "application_expired", "expires_soon"]
    trail = [entry for entry in await audit.of_application(record.application) if entry.action == "renew"]
    assert [(entry.actor, "the pilot goes on" in entry.detail) for entry in trail] == [(REQUESTER.id, True)]


async def test_what_is_no_renewal_names_the_field(world: World) -> None:
    record = await running(world, 20)
    assert await refused(record, 19) == (422, "not-a-renewal", "/expiresOn")
    assert await refused(record, 91) == (422, "lifetime-too-long", "/expiresOn")
    with pytest.raises(RequestRejectedError) as caught:
        await renew(record, 40, reason="")
    assert (caught.value.status, caught.value.pointer) == (422, "/reason")
    endless = await world.order()
    assert (await refused(endless, 40))[:2] == (409, "not-renewable")
    await _set(endless, state="active")
    assert (await refused(endless, 40))[:2] == (409, "not-renewable")
    stranger = caller("stranger", "Requester", teams=("web",))
    assert await refused(record, 40, stranger) == (404, "unknown-application", None)


async def test_beyond_the_limit_it_takes_an_approver_who_did_not_ask(world: World) -> None:
    record = await running(world, 5)
    for days in (10, 15):
        assert (await renew(record, days)).status == 200
    waiting = await renew(record, 20)
    assert waiting.status == 202
    assert waiting.document["renewal"]["askedBy"] == REQUESTER.id
    assert waiting.document["expiresOn"] == str(TODAY + timedelta(days=15)), "nothing is given yet"
    assert (await renew(record, 20)).status == 202, "asking again is asking once"
    both = caller(REQUESTER.id, "Requester", "Approver", teams=("payments",))
    assert (await renew(record, 20, both)).status == 202, "nobody approves what they asked for"
    assert await refused(record, 20, caller("colleague", "Requester", teams=("payments",))) == (403, "forbidden", None)
    service = Caller("robot", APPROVER.tenant, "robot", APPROVER.roles, frozenset(), (), is_service=True)
    assert (await refused(record, 20, service))[0] == 403
    given = await renew(record, 20, APPROVER)
    assert (given.status, given.document["expiresOn"]) == (200, str(TODAY + timedelta(days=20)))
    assert given.document["renewal"] is None
    assert given.document["renewals"][-1]["approvedBy"] == APPROVER.id
    assert (await renew(record, 20, APPROVER)).document == given.document
    actions = Counter(entry.action for entry in await audit.of_application(record.application))
    assert (actions["renew"], actions["ask-renewal"], actions["approve-renewal"]) == (2, 1, 1)


async def test_an_approver_who_asks_needs_another_one_and_the_orderer_is_none(world: World) -> None:
    record = await running(world, 5)
    await renew(record, 10)
    await renew(record, 15)
    assert (await renew(record, 20, APPROVER)).status == 202
    assert (await renew(record, 20, APPROVER)).status == 202
    orderer = caller(REQUESTER.id, "Approver", teams=("payments",))
    assert (await refused(record, 20, orderer))[0] == 403
    assert (await renew(record, 20, caller("second", "Approver"))).status == 200


async def test_many_at_once_do_not_pass_the_limit(world: World) -> None:
    record = await running(world, 5)
    answers = await asyncio.gather(*(renew(record, 10 + number) for number in range(12)), return_exceptions=True)
    given = [item for item in (await application(record)).renewals if item.approved_by is None]
    assert len(given) <= 2
    unexpected = [item for item in answers if isinstance(item, BaseException) and not isinstance(item, AppStoreError)]
    assert not unexpected


async def test_a_renewal_while_the_end_is_found_out_has_one_result(world: World) -> None:
    record = await running(world, 5)
    await asyncio.gather(look(record, TODAY + timedelta(days=6)), renew(record, 40))
    now = await application(record)
    assert (now.state, now.expires_on) == ("active", str(TODAY + timedelta(days=40)))


async def test_a_request_beyond_the_longest_life_is_refused_at_intake(world: World) -> None:
    with pytest.raises(RequestRejectedError, match="at most 90 days"):
        await world.order(expiresOn=str(TODAY + timedelta(days=91)))
