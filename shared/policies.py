"""The rules' verdict on a request and on a plan, by the embedded engine or by an OPA server.

Fail closed: whatever keeps an engine from giving a complete verdict (a broken rule, an unknown package, a server that
is down or answers nonsense) is itself a denial, never an empty verdict.
"""

import asyncio
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import httpx
from pydantic import ConfigDict, Field, ValidationError
from pydantic_settings import SettingsConfigDict

from shared.canonical import canonical_json, digest
from shared.clock import utc_now
from shared.credential import access_token
from shared.errors import AppStoreError
from shared.log import LOGGER
from shared.models import Model
from shared.models.policy_decision import About, PolicyDecision
from shared.rule_set import RULES, RuleSet, load_rules, rules_revision
from shared.settings import Settings, load

__all__ = [
    "ENGINE_FAILURE",
    "Judgement",
    "OpaServerEngine",
    "PolicyEngine",
    "PolicySettings",
    "RegorusEngine",
    "Verdict",
    "Verdicts",
    "evaluate_plan",
    "evaluate_promotion",
    "evaluate_request",
    "judge",
    "policy_engine",
    "rules_revision",
]

ENGINE_FAILURE = "POL-000"
REQUEST_RULES = "appstore.request"
PLAN_RULES = "appstore.plan"
PROMOTION_RULES = "appstore.promotion"

_KINDS = ("deny", "require_approval", "warn")
_LONGEST_REASON = 240


class PolicySettings(Settings):
    """Where policies are decided."""

    model_config = SettingsConfigDict(env_prefix="OPA_", frozen=True, extra="ignore")

    url: str = Field(default="", description="Base URL of an OPA server; empty: the embedded engine decides.")
    timeout_seconds: float = Field(default=2.0, gt=0, description="Seconds to wait for the OPA server, twice at most.")
    audience: str = Field(
        default="", description="Audience of the Entra ID token for the OPA server (`api://opa`); empty: no token."
    )


class Verdict(Model):
    """One finding of one rule.

    Attributes:
        id: the rule, for example ``REQ-003``; stable.
        severity: error, warning or info.
        message: a sentence for humans.
        path: JSON pointer into the request or the change set, empty for the whole.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid", "strict": True})

    id: str = Field(pattern=r"^[A-Z]{3}-[0-9]{3}$")
    severity: str = Field(pattern=r"^(error|warning|info)$")
    message: str = Field(min_length=1)
    path: str


class Verdicts(Model):
    """Everything the rules say.

    Attributes:
        revision: names the rules that said it.
        decision_id: id in an OPA server's own log; never part of the document, which is the same for the same rules.
    """

    deny: tuple[Verdict, ...]
    require_approval: tuple[Verdict, ...]
    warn: tuple[Verdict, ...]
    revision: str
    decision_id: str = Field(default="", exclude=True)

    @property
    def denied(self) -> bool:
        """Whether at least one rule forbids it."""
        return bool(self.deny)

    @property
    def denying_rules(self) -> tuple[str, ...]:
        """Ids of the rules that forbid it, each once."""
        return _ids(self.deny)


@dataclass(frozen=True)
class Judgement:
    """What the rules say, and the record of their having said it."""

    verdicts: Verdicts
    decision: PolicyDecision


class PolicyEngine(Protocol):
    """Decides by the rules of one package; ``name`` is the engine's in the decision log."""

    name: str

    async def decide(self, package: str, document: Mapping[str, Any]) -> Verdicts:
        """Judge a document; never raises for what the engine or the document does: that is a denial."""


class RegorusEngine:
    """Rego in this process (https://github.com/microsoft/regorus), the default."""

    name = "regorus"

    def __init__(self, directory: Path = RULES) -> None:
        self._directory = directory
        # A regorus engine may only be used by the thread that made it.
        self._thread = threading.local()

    async def decide(self, package: str, document: Mapping[str, Any]) -> Verdicts:
        """Judge a document by the rules as they are on disk now.

        Raises:
            ConfigurationError: the rules cannot be read at all.
        """
        rules = load_rules(self._directory)
        try:
            engine = self._engine(rules)
            engine.set_input_json(canonical_json(document).decode())
            decision = json.loads(engine.eval_rule_as_json(f"data.{package}.decision"))
        except (RuntimeError, ValueError, TypeError) as error:
            return _failed(rules.revision, _short(error))
        return _verdicts(rules.revision, decision)

    def _engine(self, rules: RuleSet) -> Any:
        """Engine of this thread, loaded again when the rules have changed."""
        if getattr(self._thread, "revision", None) != rules.revision:
            import regorus  # noqa: PLC0415 - a native library, needed at the first decision only

            engine = regorus.Engine()
            for path, text in rules.policies:
                engine.add_policy(path, text)
            engine.add_data_json(rules.data)
            self._thread.engine, self._thread.revision = engine, rules.revision
        return self._thread.engine


class OpaServerEngine:
    """An OPA server that runs our bundle (https://www.openpolicyagent.org/docs/rest-api, Data API)."""

    name = "opa"

    def __init__(
        self,
        url: str,
        timeout_seconds: float = 2.0,
        directory: Path = RULES,
        transport: httpx.AsyncBaseTransport | None = None,
        audience: str = "",
    ) -> None:
        self._audience = audience
        self._url = url.rstrip("/")
        self._timeout = timeout_seconds
        self._directory = directory
        self._transport = transport

    async def decide(self, package: str, document: Mapping[str, Any]) -> Verdicts:
        """Ask the server; it must prove by its bundle's revision that it decides by the same rules as we have.

        Raises:
            ConfigurationError: the rules cannot be read, so that nothing can be compared.
        """
        revision = rules_revision(self._directory)
        try:
            answer = await self._ask(package, canonical_json({"input": document}))
            body = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, AppStoreError, TimeoutError, ValueError, TypeError) as error:
            return _failed(revision, f"The OPA server gave no verdict: {_short(error)}")
        if not isinstance(body, dict) or "result" not in body:
            return _failed(revision, "The OPA server knows no rules for this question.")
        if revision not in _bundle_revisions(body):
            return _failed(revision, f"The OPA server does not decide by the rules {revision[:12]}.")
        verdicts = _verdicts(revision, body["result"])
        return verdicts.model_copy(update={"decision_id": str(body.get("decision_id", ""))[:64]})

    async def _ask(self, package: str, content: bytes) -> httpx.Response:
        """Post the question, a second time when there was no answer or a server error."""
        # Without strict errors OPA skips a rule whose built-in fails: the denial would be lost.
        parameters = {"provenance": "true", "strict-builtin-errors": "true"}
        url = f"{self._url}/v1/data/{package.replace('.', '/')}/decision"
        headers = {"Content-Type": "application/json"}
        if self._audience:
            headers["Authorization"] = f"Bearer {await access_token(f'{self._audience}/.default')}"
        async with httpx.AsyncClient(timeout=self._timeout, transport=self._transport) as client:

            async def once() -> httpx.Response:
                # The client's own timeout begins anew with each byte that arrives.
                async with asyncio.timeout(self._timeout):
                    return await client.post(url, content=content, params=parameters, headers=headers)

            try:
                answer = await once()
            except (httpx.TransportError, TimeoutError):
                answer = None
            if answer is None or answer.is_server_error:
                answer = await once()
            return answer.raise_for_status()


def policy_engine() -> PolicyEngine:
    """Engine of this configuration: the OPA server when ``OPA_URL`` is set, else the embedded one.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    settings = load(PolicySettings)
    if not settings.url:
        return _EMBEDDED
    return OpaServerEngine(settings.url, settings.timeout_seconds, audience=settings.audience)


async def judge(package: str, document: Mapping[str, Any], about: About | None = None) -> Judgement:
    """Judge a document and log the decision: every decision leaves a line, whoever asks.

    Raises:
        ConfigurationError: as `PolicyEngine` and `policy_engine`.
    """
    engine, began = policy_engine(), perf_counter()
    verdicts = await engine.decide(package, document)
    decision = PolicyDecision(
        package=package,
        about=about or About(),
        revision=verdicts.revision,
        input_digest=_input_digest(document),
        deny=_ids(verdicts.deny),
        require_approval=_ids(verdicts.require_approval),
        warn=_ids(verdicts.warn),
        engine=engine.name,
        engine_decision_id=verdicts.decision_id,
        duration_ms=round((perf_counter() - began) * 1000, 3),
        at=utc_now(),
    )
    record = decision.document()
    LOGGER.info("policy decision %s", json.dumps(record, sort_keys=True), extra={"policy_decision": record})
    return Judgement(verdicts, decision)


async def evaluate_request(document: Mapping[str, Any], about: About | None = None) -> Verdicts:
    """Judge ``{"request": body, "estimate": {"monthly": ...} or absent, "time": RFC 3339}``.

    Raises:
        ConfigurationError: as `judge`.
    """
    return (await judge(REQUEST_RULES, document, about)).verdicts


async def evaluate_plan(document: Mapping[str, Any], about: About | None = None) -> Verdicts:
    """Judge ``{"request": body, "environment": "dev", "changeSet": ..., "cost": {"monthly": ...}, "time": RFC 3339}``.

    ``changeSet`` is the redacted one; ``cost`` is that of the whole plan, all environments.

    Raises:
        ConfigurationError: as `judge`.
    """
    return (await judge(PLAN_RULES, document, about)).verdicts


async def evaluate_promotion(document: Mapping[str, Any], about: About | None = None) -> Verdicts:
    """Judge whether a release may go on to the next stage; the input is described in ``appstore/promotion.rego``.

    Raises:
        ConfigurationError: as `judge`.
    """
    return (await judge(PROMOTION_RULES, document, about)).verdicts


_EMBEDDED = RegorusEngine()


def _ids(findings: Iterable[Verdict]) -> tuple[str, ...]:
    return tuple(sorted({finding.id for finding in findings}))


def _input_digest(document: Mapping[str, Any]) -> str:
    """Digest of the input; empty when it is no JSON, which is a denial anyway."""
    try:
        return digest(document)
    except (ValueError, TypeError):
        return ""


def _verdicts(revision: str, decision: Any) -> Verdicts:
    """Read a decision; anything incomplete is a denial."""
    try:
        verdicts = Verdicts.model_validate({**decision, "revision": revision})
    except (ValidationError, TypeError):
        return _failed(revision, "The rules gave no complete verdict.")
    ordered = {name: tuple(sorted(getattr(verdicts, name), key=_order)) for name in _KINDS}
    return verdicts.model_copy(update=ordered)


def _order(verdict: Verdict) -> tuple[str, str, str]:
    return (verdict.id, verdict.path, verdict.message)


def _failed(revision: str, reason: str) -> Verdicts:
    denial = Verdict(id=ENGINE_FAILURE, severity="error", message=reason, path="")
    return Verdicts(deny=(denial,), require_approval=(), warn=(), revision=revision)


def _short(error: Exception) -> str:
    """One line for humans: regorus appends a stack trace of its own."""
    text = " ".join(str(error).split("Stack backtrace")[0].split())
    return (text or type(error).__name__)[:_LONGEST_REASON]


def _bundle_revisions(body: Mapping[str, Any]) -> set[str]:
    """Revisions of the bundles that the server used, from the answer's provenance."""
    provenance = body.get("provenance")
    bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
    entries = bundles.values() if isinstance(bundles, dict) else ()
    return {str(entry.get("revision")) for entry in entries if isinstance(entry, dict)}
