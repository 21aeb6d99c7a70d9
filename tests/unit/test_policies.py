import asyncio
import gzip
import io
import json
import logging
import os
import shutil
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.canonical import digest
from shared.credential import credential
from shared.errors import ConfigurationError
from shared.models.policy_decision import About
from shared.policies import (
    ENGINE_FAILURE,
    OpaServerEngine,
    RegorusEngine,
    Verdicts,
    evaluate_plan,
    evaluate_promotion,
    evaluate_request,
    judge,
    policy_engine,
    rules_revision,
)
from shared.rule_set import RULES, bundle, load_rules
from tests.unit.rego_cases import CASES, EXCEPTIONS, plan_input, request_input, resource
from tests.unit.rego_promotion import PROMOTION_CASES, promotion_input

NOTHING_FOUND: dict[str, Any] = {"deny": [], "require_approval": [], "warn": []}
FINDING = {"id": "REQ-001", "severity": "error", "message": "No.", "path": "/name"}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    copied = Path(shutil.copytree(RULES, tmp_path / "rules"))
    (copied / "exceptions.yaml").write_text(EXCEPTIONS, encoding="utf-8")
    return copied


def write(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


async def test_a_good_request_plan_and_promotion_are_allowed() -> None:
    promotion = await evaluate_promotion(promotion_input())
    assert [verdict.id for verdict in promotion.require_approval] == ["PRM-012"]
    for verdicts in (await evaluate_request(request_input()), await evaluate_plan(plan_input()), promotion):
        assert not verdicts.denied
        assert verdicts.require_approval in ((), promotion.require_approval)
        assert verdicts.revision == rules_revision()


async def test_the_embedded_engine_answers_as_the_table_says(rules: Path) -> None:
    engine = RegorusEngine(rules)
    for case in (*CASES, *PROMOTION_CASES):
        verdicts = await engine.decide(case.package, case.document)
        assert set(verdicts.denying_rules) == case.deny, case
        assert {verdict.id for verdict in verdicts.require_approval} == case.require_approval, case
        assert [verdict.id for verdict in verdicts.deny] == sorted(verdict.id for verdict in verdicts.deny), case


@pytest.mark.parametrize("package", ["appstore.nothing", "no such package", "", "appstore.request_test"])
async def test_an_unknown_package_is_a_denial(package: str) -> None:
    verdicts = await RegorusEngine().decide(package, {})
    assert verdicts.denying_rules == (ENGINE_FAILURE,)
    assert len(verdicts.deny[0].message) <= 240
    assert "backtrace" not in verdicts.deny[0].message


@pytest.mark.parametrize("document", [{"request": {"name": float("nan")}}, {"request": {"name": "\ud800"}}, {1: 2}])
async def test_a_document_that_json_cannot_carry_is_a_denial(document: Any) -> None:
    assert (await RegorusEngine().decide("appstore.request", document)).denying_rules == (ENGINE_FAILURE,)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("package appstore.request", "package appstore.request\nfoo bar {"),
        ('"deny": deny, ', ""),
        ('decision := {"deny": deny,', 'decision := {"deny": 1,'),
        ('decision := {"deny": deny,', 'decision := {"deny": {"x"},'),
        ('"require_approval": require_approval, "warn": warn}', '"require_approval": set(), "warn": set()} if false'),
    ],
)
async def test_a_broken_rule_is_a_denial(rules: Path, old: str, new: str) -> None:
    write(rules / "rego/appstore/request.rego", old, new)
    verdicts = await RegorusEngine(rules).decide("appstore.request", request_input())
    assert verdicts.denying_rules == (ENGINE_FAILURE,)


async def test_an_engine_that_cannot_load_recovers_when_the_rule_is_mended(rules: Path) -> None:
    engine = RegorusEngine(rules)
    path = rules / "rego/appstore/request.rego"
    good = path.read_text(encoding="utf-8")
    path.write_text("nonsense", encoding="utf-8")
    assert (await engine.decide("appstore.request", request_input())).denied
    path.write_text(good, encoding="utf-8")
    assert not (await engine.decide("appstore.request", request_input())).denied


async def test_a_changed_rule_counts_at_once_and_changes_the_revision(rules: Path) -> None:
    engine = RegorusEngine(rules)
    before = await engine.decide("appstore.request", request_input())
    write(rules / "rego/config.json", '"pattern": "^CC-', '"pattern": "^XX-')
    after = await engine.decide("appstore.request", request_input())
    assert before.revision != after.revision
    assert after.denying_rules == ("REQ-008",)


@pytest.mark.parametrize(
    "name",
    [
        "rego/appstore/plan.rego",
        "rego/appstore/common.rego",
        "rego/appstore/promotion.rego",
        "rego/config.json",
        "rego/rules.yaml",
        "exceptions.yaml",
        "approvals/default.yaml",
        "landing_zones.yaml",
    ],
)
def test_one_changed_byte_of_what_decides_changes_the_revision(rules: Path, name: str) -> None:
    before = rules_revision(rules)
    path = rules / name
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    assert rules_revision(rules) != before
    path.write_bytes(content)
    assert rules_revision(rules) == before


def test_a_new_and_a_renamed_file_change_the_revision(rules: Path) -> None:
    before = rules_revision(rules)
    added = rules / "approvals/prod.yaml"
    added.write_text("rules: []\n", encoding="utf-8")
    second = rules_revision(rules)
    added.rename(rules / "approvals/qa.yaml")
    assert len({before, second, rules_revision(rules)}) == 3


@pytest.mark.parametrize("name", ["prices.json", "rego/appstore/plan_test.rego"])
def test_what_does_not_decide_leaves_the_revision(rules: Path, name: str) -> None:
    before = rules_revision(rules)
    (rules / name).write_text("{}", encoding="utf-8")
    assert rules_revision(rules) == before


def test_the_revision_is_that_of_the_content_not_of_the_place(rules: Path) -> None:
    shutil.copy(RULES / "exceptions.yaml", rules)
    assert rules_revision(rules) == rules_revision() == rules_revision(RULES)


def test_the_same_size_and_time_of_modification_do_not_hide_a_change(rules: Path) -> None:
    path = rules / "landing_zones.yaml"
    before, times = rules_revision(rules), path.stat()
    write(path, "aks-qa-weu", "aks-qa-wue")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert rules_revision(rules) != before


@pytest.mark.parametrize("content", [b"\xff", b"{"])
def test_unreadable_configuration_is_named(rules: Path, content: bytes) -> None:
    (rules / "rego/config.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        rules_revision(rules)


def test_no_rules_are_no_rule_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no complete rules"):
        load_rules(tmp_path)


def test_data_without_rules_is_no_rule_set(rules: Path) -> None:
    shutil.rmtree(rules / "rego" / "appstore")
    with pytest.raises(ConfigurationError, match="there are no rules"):
        load_rules(rules)


def test_every_thread_has_its_own_engine() -> None:
    engine = RegorusEngine()

    def ask(_: int) -> Verdicts:
        return asyncio.run(engine.decide("appstore.request", request_input(name="X")))

    with ThreadPoolExecutor(8) as pool:
        assert {verdicts.denying_rules for verdicts in pool.map(ask, range(64))} == {("REQ-001",)}


async def test_a_plan_of_a_thousand_resources_is_judged() -> None:
    document = plan_input()
    group = document["changeSet"]["changes"][0]["after"]
    document["changeSet"]["changes"] = [
        resource("azurerm_resource_group", group, address=f"group[{n}]") for n in range(1000)
    ]
    document["changeSet"]["summary"] = {"create": 1000, "update": 0, "replace": 0, "delete": 0, "noop": 0}
    assert not (await evaluate_plan(document)).denied


def server(answer: Callable[[httpx.Request], httpx.Response]) -> OpaServerEngine:
    return OpaServerEngine("http://opa:8181/", transport=httpx.MockTransport(answer))


def proven(result: Any) -> dict[str, Any]:
    return {"result": result, "provenance": {"version": "1.9", "bundles": {"appstore": {"revision": rules_revision()}}}}


async def test_the_server_is_asked_by_the_data_api() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=proven({**NOTHING_FOUND, "deny": [FINDING]}))

    verdicts = await server(answer).decide("appstore.request", {"request": 1})
    assert verdicts.denying_rules == ("REQ-001",)
    assert verdicts.revision == rules_revision()
    assert asked[0].method == "POST"
    assert asked[0].url.path == "/v1/data/appstore/request/decision"
    assert asked[0].url.params["strict-builtin-errors"] == "true"
    assert json.loads(asked[0].content) == {"input": {"request": 1}}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, json={"code": "internal_error"}),
        httpx.Response(404, json={}),
        httpx.Response(301, headers={"Location": "http://elsewhere/"}),
        httpx.Response(200, json={}),
        httpx.Response(200, json=[]),
        httpx.Response(200, text="<html>Sign in</html>"),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(200, json=proven({})),
        httpx.Response(200, json=proven(None)),
        httpx.Response(200, json=proven([])),
        httpx.Response(200, json=proven({"deny": [], "warn": []})),
        httpx.Response(200, json=proven({**NOTHING_FOUND, "deny": None})),
        httpx.Response(200, json=proven({**NOTHING_FOUND, "deny": [{"id": "REQ-001"}]})),
        httpx.Response(200, json=proven({**NOTHING_FOUND, "deny": {"REQ-001": True}})),
        httpx.Response(200, json={"result": NOTHING_FOUND}),
        httpx.Response(
            200, json={"result": NOTHING_FOUND, "provenance": {"bundles": {"appstore": {"revision": "old"}}}}
        ),
        httpx.Response(200, json={"result": NOTHING_FOUND, "provenance": {"bundles": ["x"]}}),
        httpx.Response(200, json={"result": NOTHING_FOUND, "provenance": {"bundles": {"appstore": "x"}}}),
    ],
)
async def test_a_server_that_gives_no_proven_verdict_is_a_denial(answer: httpx.Response) -> None:
    verdicts = await server(lambda _: answer).decide("appstore.request", {})
    assert verdicts.denying_rules == (ENGINE_FAILURE,)


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.DecodingError("gzip")]
)
async def test_a_server_that_is_away_is_a_denial(failure: httpx.HTTPError) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise failure

    assert (await server(answer).decide("appstore.plan", {})).denying_rules == (ENGINE_FAILURE,)


async def test_a_wrong_address_is_a_denial() -> None:
    assert (await OpaServerEngine("opa:8181").decide("appstore.plan", {})).denying_rules == (ENGINE_FAILURE,)


@pytest.mark.parametrize("first", [httpx.Response(503), httpx.ConnectError("refused")])
async def test_the_server_is_asked_twice(first: httpx.Response | httpx.ConnectError) -> None:
    answers = [first, httpx.Response(200, json=proven(NOTHING_FOUND))]

    def answer(_: httpx.Request) -> httpx.Response:
        following = answers.pop(0)
        if isinstance(following, httpx.ConnectError):
            raise following
        return following

    assert not (await server(answer).decide("appstore.request", {})).denied
    assert answers == []


def test_the_setting_chooses_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPA_URL", raising=False)
    assert isinstance(policy_engine(), RegorusEngine)
    monkeypatch.setenv("OPA_URL", "http://opa:8181")
    assert isinstance(policy_engine(), OpaServerEngine)


def test_the_bundle_holds_the_rules_without_tests_and_says_which_they_are() -> None:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(bundle()))) as tar:
        contents = {member.name: file.read() for member in tar if (file := tar.extractfile(member))}
    assert json.loads(contents[".manifest"])["revision"] == rules_revision()
    assert "config" in json.loads(contents["data.json"])
    assert sorted(name for name in contents if name.endswith(".rego")) == [
        "rego/appstore/common.rego",
        "rego/appstore/plan.rego",
        "rego/appstore/promotion.rego",
        "rego/appstore/request.rego",
    ]
    assert set(json.loads(contents["data.json"])) == {"config", "exceptions", "rules"}
    assert json.loads(contents[".manifest"])["roots"] == ["appstore", "config", "exceptions", "rules"]
    assert bundle() == bundle()


async def test_every_decision_leaves_a_line_without_its_input(caplog: pytest.LogCaptureFixture) -> None:
    about = About(request_id="req-1", application="payments-api", environment="dev")
    with caplog.at_level(logging.INFO, logger="appstore"):
        judgement = await judge("appstore.request", request_input(name="X", description="hunter2"), about)
    (line,) = [record for record in caplog.records if hasattr(record, "policy_decision")]
    written: dict[str, Any] = line.__dict__["policy_decision"]
    assert json.loads(line.getMessage().removeprefix("policy decision ")) == written == judgement.decision.document()
    assert "hunter2" not in line.getMessage()
    assert written["deny"] == ["REQ-001"]
    assert written["engine"] == "regorus"
    assert written["revision"] == rules_revision()
    assert written["about"] == {"requestId": "req-1", "application": "payments-api", "environment": "dev"}
    assert written["inputDigest"] == digest(request_input(name="X", description="hunter2"))
    assert written["durationMs"] > 0


async def test_a_decision_on_what_is_no_json_is_logged_as_well() -> None:
    judgement = await judge("appstore.request", {"request": float("nan")})
    assert judgement.decision.deny == (ENGINE_FAILURE,)
    assert judgement.decision.input_digest == ""


async def test_the_id_in_the_servers_log_is_kept_but_never_part_of_the_plan() -> None:
    body = {**proven(NOTHING_FOUND), "decision_id": "4ca636c1"}
    verdicts = await server(lambda _: httpx.Response(200, json=body)).decide("appstore.request", {})
    assert verdicts.decision_id == "4ca636c1"
    assert "4ca636c1" not in json.dumps(verdicts.document())


async def test_without_an_identity_a_server_with_an_audience_is_a_denial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPA_URL", "https://opa.contoso.com")
    monkeypatch.setenv("OPA_AUDIENCE", "api://opa")
    try:
        verdicts = await policy_engine().decide("appstore.request", {})
    finally:
        await credential().close()
    assert verdicts.denying_rules == (ENGINE_FAILURE,)
