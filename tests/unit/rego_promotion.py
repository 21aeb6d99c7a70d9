"""Promotions as GitHub's answers tell of them, and what the rules must find."""

import copy
from collections.abc import Callable
from typing import Any

from tests.unit.rego_cases import LEGACY, NOW, Case, Document

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGEST, REBUILT = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
SIGNER = "https://github.com/contoso/payments-api/.github/workflows/ci.yml@refs/heads/main"
SPDX, SLSA = "https://spdx.dev/Document/v2.3", "https://slsa.dev/provenance/v1"


def check(name: str, **changes: Any) -> Document:
    """A check run of a commit (https://docs.github.com/rest/checks/runs)."""
    run = {"name": name, "headSha": COMMIT, "app": "github-actions", "status": "completed", "conclusion": "success"}
    return {**run, **changes}


def deployment(environment: str, **changes: Any) -> Document:
    """A deployment with its newest status (https://docs.github.com/rest/deployments)."""
    found = {"environment": environment, "commit": COMMIT, "digest": DIGEST, "state": "success"}
    return {**found, "since": "2026-11-20T08:00:00Z", **changes}


def attestation(kind: str, **changes: Any) -> Document:
    """A verified attestation (https://docs.github.com/rest/repos/attestations)."""
    return {"predicateType": kind, "subjectDigest": DIGEST, "signer": SIGNER, "verified": True, **changes}


def freeze(**changes: Any) -> Document:
    """A change freeze that is in force for prod."""
    window = {"from": "2026-11-24T00:00:00Z", "until": "2026-12-01T00:00:00Z"}
    return {"id": "year-end", "environments": ["prod"], "reason": "Year end.", **window, **changes}


def promotion_input(**changes: Any) -> Document:
    """A release that may go from qa to prod."""
    return {
        "application": {
            "name": "payments-api",
            "ownerTeam": "payments",
            "criticality": "high",
            "environments": ["dev", "qa", "prod"],
            "parameters": {"publicEndpoint": True},
        },
        "release": {
            "repository": "contoso/payments-api",
            "commit": COMMIT,
            "digest": DIGEST,
            "builtAt": "2026-11-19T08:00:00Z",
        },
        "from": "qa",
        "to": "prod",
        "deployments": [deployment("dev", state="inactive"), deployment("qa")],
        "checkRuns": [check("Test"), check("SAST"), check("DAST"), check("Build")],
        "attestations": [attestation(SPDX), attestation(SLSA)],
        "alerts": [{"number": 1, "state": "fixed", "severity": "high"}],
        "freezes": [freeze(environments=["dev"])],
        "time": NOW,
        **changes,
    }


def _case(title: str, deny: str = "", approval: str = "PRM-012", warn: str = "", /, **changes: Any) -> Case:
    expected = (frozenset(ids.split()) for ids in (deny, approval, warn))
    return Case(title, "appstore.promotion", promotion_input(**changes), *expected)


def _altered(title: str, change: Callable[[Document], Any], deny: str = "", warn: str = "") -> Case:
    document = copy.deepcopy(promotion_input())
    change(document)
    return Case(
        title, "appstore.promotion", document, frozenset(deny.split()), frozenset({"PRM-012"}), frozenset(warn.split())
    )


def _application(**changes: Any) -> Callable[[Document], None]:
    return lambda document: document["application"].update(changes)


def _release(**changes: Any) -> Callable[[Document], None]:
    return lambda document: document["release"].update(changes)


def _internal(document: Document, parameters: Any) -> None:
    """An application without an address, whose pipeline therefore has no DAST."""
    document["application"]["parameters"] = parameters
    document["checkRuns"] = [check("Test"), check("SAST")]


QA_ONLY = [check("Test"), check("SAST")]
SHORTLY = [deployment("dev", state="inactive"), deployment("qa", since="2026-11-25T07:00:00Z")]

PROMOTION_CASES = [
    _case("good"),
    _case("dev to qa", "", "", **{"from": "dev", "to": "qa", "deployments": [deployment("dev")], "checkRuns": QA_ONLY}),
    Case(
        "nothing",
        "appstore.promotion",
        {},
        frozenset({"PRM-000", "PRM-001", "PRM-007", "PRM-008", "PRM-009"}),
        warn=frozenset({"PRM-013"}),
    ),
    _case("no time", "PRM-000 PRM-009", time=None),
    _case("time of text", "PRM-000 PRM-009", time="yesterday"),
    _altered("nameless", _application(name=""), "PRM-000"),
    _altered("unknown criticality", _application(criticality="vital"), "PRM-000 PRM-009"),
    _altered("not its environment", _application(environments=["dev", "qa"]), "PRM-001"),
    _altered("environments of text", _application(environments="prod"), "PRM-001"),
    _altered("another repository", _release(repository="contoso/web-shop"), "PRM-007 PRM-008"),
    _altered("repository of text", _release(repository="payments-api"), "PRM-000 PRM-007 PRM-008"),
    _altered("short commit", _release(commit="0123456"), "PRM-000 PRM-004 PRM-005 PRM-006"),
    _altered("tag for a digest", _release(digest="latest"), "PRM-000 PRM-002 PRM-003 PRM-007 PRM-008 PRM-009"),
    _altered("built long ago", _release(builtAt="2026-10-01T00:00:00Z"), warn="PRM-013"),
    _case("backwards", "PRM-001 PRM-002 PRM-009", "", **{"from": "prod", "to": "qa"}),
    _case("jump", "PRM-001 PRM-002 PRM-009", **{"from": "dev"}),
    _case("unknown stage", "PRM-001 PRM-009", "", to="moon"),
    _case("never deployed", "PRM-002 PRM-009", deployments=[]),
    _case("not in dev", "PRM-002", deployments=[deployment("qa")]),
    _case("failed in qa", "PRM-002 PRM-009", deployments=[deployment("dev"), deployment("qa", state="failure")]),
    _case("gone from qa", "PRM-002 PRM-009", deployments=[deployment("dev"), deployment("qa", state="inactive")]),
    _case(
        "replaced in qa",
        "PRM-002 PRM-009",
        deployments=[
            deployment("dev"),
            deployment("qa"),
            deployment("qa", digest=REBUILT, commit="f" * 40, since="2026-11-21T08:00:00Z"),
        ],
    ),
    _case("rebuilt", "PRM-002 PRM-003", deployments=[deployment("dev", digest=REBUILT), deployment("qa")]),
    _case("unreadable deployment", "PRM-000", deployments=[deployment("dev"), deployment("qa"), "x"]),
    _case("deployed sometime", "PRM-000 PRM-002 PRM-009", deployments=[deployment("dev"), deployment("qa", since="")]),
    _case("no checks", "PRM-004 PRM-005 PRM-006", checkRuns=[]),
    _altered("nothing to scan", lambda document: _internal(document, {"publicEndpoint": False})),
    _altered("no such parameter", lambda document: _internal(document, {"database": "none"})),
    _altered("parameters of text", lambda document: _internal(document, "none"), "PRM-006"),
    _altered("exposure of text", lambda document: _internal(document, {"publicEndpoint": "no"}), "PRM-006"),
    _case("checks of text", "PRM-000 PRM-004 PRM-005 PRM-006", checkRuns="green"),
    _case("tests running", "PRM-004", checkRuns=[check("Test", status="in_progress"), check("SAST"), check("DAST")]),
    _case("analysis skipped", "PRM-005", checkRuns=[check("Test"), check("SAST", conclusion="skipped"), check("DAST")]),
    _case("one run failed", "PRM-006", checkRuns=[*QA_ONLY, check("DAST"), check("DAST", conclusion="failure")]),
    _case("tests of another app", "PRM-004", checkRuns=[check("Test", app="evil"), check("SAST"), check("DAST")]),
    _case("no attestations", "PRM-007 PRM-008", attestations=[]),
    _case("not verified", "PRM-007", attestations=[attestation(SPDX, verified=False), attestation(SLSA)]),
    _case("of another artefact", "PRM-008", attestations=[attestation(SPDX), attestation(SLSA, subjectDigest=REBUILT)]),
    _case("by another workflow", "PRM-008", attestations=[attestation(SPDX), attestation(SLSA, signer=f"{SIGNER}x")]),
    _case("too early", "PRM-009", deployments=SHORTLY),
    _case("frozen", "PRM-010", freezes=[freeze()]),
    _case("all frozen", "PRM-010", freezes=[freeze(environments=["*"])]),
    _case("freeze is over", freezes=[freeze(until="2026-11-25T08:00:00Z")]),
    _case("freeze without end", "PRM-000", freezes=[freeze(until=None)]),
    _case("no freezes known", "PRM-000", freezes=None),
    _case("open finding", "PRM-011", alerts=[{"state": "open", "severity": "high"}]),
    _case("small finding", alerts=[{"state": "open", "severity": "medium"}]),
    _case("strange finding", "PRM-011", alerts=[{"state": "open", "severity": "x"}]),
    _case("finding of a number", "PRM-000", alerts=[{"state": "open", "severity": 0}]),
    _altered(
        "excepted soak",
        lambda document: (document.update(deployments=SHORTLY), _application(ownerTeam=LEGACY)(document)),
        warn="PRM-090",
    ),
]
