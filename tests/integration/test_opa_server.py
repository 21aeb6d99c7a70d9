"""The OPA server of production: the real engine with our bundle behind HTTP, and whatever may go wrong with it."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest

from shared.policies import ENGINE_FAILURE, OpaServerEngine, RegorusEngine
from shared.rule_set import RULES, bundle, rules_revision
from tests.opa_server import Server, serving
from tests.unit.rego_cases import CASES, EXCEPTIONS, request_input
from tests.unit.rego_engines import needs_opa
from tests.unit.rego_promotion import PROMOTION_CASES

pytestmark = needs_opa


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    copied = Path(shutil.copytree(RULES, tmp_path / "rules"))
    (copied / "exceptions.yaml").write_text(EXCEPTIONS, encoding="utf-8")
    return copied


@pytest.fixture
def opa(rules: Path) -> Iterator[Server]:
    with serving(bundle(rules)) as server:
        yield server


def engine(opa: Server, rules: Path) -> OpaServerEngine:
    return OpaServerEngine(opa.address, 0.5, rules)


async def test_the_server_with_the_bundle_decides_as_the_embedded_engine(opa: Server, rules: Path) -> None:
    server, embedded = OpaServerEngine(opa.address, 30, rules), RegorusEngine(rules)
    for case in (*CASES[::4], *PROMOTION_CASES[::4]):
        asked = await server.decide(case.package, case.document)
        assert asked == (await embedded.decide(case.package, case.document)).model_copy(
            update={"decision_id": asked.decision_id}
        )
        assert asked.decision_id == opa.decisions[-1]["decision_id"]


def _good(opa: Server) -> bytes:
    path = "/v1/data/appstore/request/decision"
    return json.dumps(opa.reply(path, "", json.dumps({"input": request_input()}).encode())[1]).encode()


def _break(**changes: object) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        for name, value in changes.items():
            setattr(server, name, value)

    return change


def _cut(server: Server) -> None:
    server.answer = (200, "application/json", _good(server)[:-40])


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (_break(answer=(500, "application/json", b'{"code": "internal_error"}')), "no verdict"),
        (_break(answer=(503, "text/plain", b"upstream connect error")), "no verdict"),
        (_break(answer=(429, "text/plain", b"")), "no verdict"),
        (_break(answer=(200, "text/html", b"<html><form>Sign in</form></html>")), "no verdict"),
        (_break(answer=(302, "text/html", b"")), "no verdict"),
        (_break(answer=(200, "application/json", b"{}")), "knows no rules"),
        (_cut, "no verdict"),
        (_break(revision="0" * 64), "does not decide by the rules"),
        (_break(delay=2.0), "TimeoutError"),
        (_break(drip=0.05), "TimeoutError"),
        (_break(token="secret"), "401"),  # noqa: S106 - the stand-in's
    ],
    ids=["500", "503", "429", "page", "redirect", "undefined", "cut", "revision", "slow", "drip", "no token"],
)
async def test_whatever_is_wrong_with_the_server_is_a_denial(
    opa: Server, rules: Path, trouble: Callable[[Server], None], said: str
) -> None:
    assert not (await engine(opa, rules).decide("appstore.request", request_input())).denied
    trouble(opa)
    began = time.monotonic()
    verdicts = await engine(opa, rules).decide("appstore.request", request_input())
    assert verdicts.denying_rules == (ENGINE_FAILURE,)
    assert said in verdicts.deny[0].message
    assert "secret" not in verdicts.deny[0].message
    assert time.monotonic() - began < 10, "twice half a second, on a busy machine"


@pytest.mark.usefixtures("world")
async def test_a_server_with_an_audience_is_asked_as_the_app(opa: Server, rules: Path) -> None:
    asking = OpaServerEngine(opa.address, 10, rules, audience="api://opa")
    assert not (await asking.decide("appstore.request", request_input())).denied
    kind, _, token = opa.callers[-1].partition(" ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (kind, claims["aud"]) == ("Bearer", "api://opa")
    assert not (await engine(opa, rules).decide("appstore.request", request_input())).denied
    assert opa.callers[-1] == "", "without an audience no token leaves the app"


async def test_an_unknown_package_is_undefined_and_a_denial(opa: Server, rules: Path) -> None:
    verdicts = await engine(opa, rules).decide("appstore.nothing", {})
    assert verdicts.denying_rules == (ENGINE_FAILURE,)
    assert "knows no rules" in verdicts.deny[0].message


async def test_a_server_that_is_down_is_a_denial(rules: Path) -> None:
    with serving(bundle(rules)) as server:
        pass
    verdicts = await engine(server, rules).decide("appstore.request", request_input())
    assert verdicts.denying_rules == (ENGINE_FAILURE,)


async def test_a_server_with_the_bundle_of_yesterday_is_a_denial_until_it_has_polled(rules: Path) -> None:
    with serving(bundle(rules)) as server:
        path = rules / "exceptions.yaml"
        path.write_text(path.read_text(encoding="utf-8") + "# one line more\n", encoding="utf-8")
        assert (await engine(server, rules).decide("appstore.request", request_input())).denied
        server.revision = rules_revision(rules)
        assert not (await engine(server, rules).decide("appstore.request", request_input())).denied
