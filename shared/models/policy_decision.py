"""One decision of the rules, as auditors want to know it: by which rules, when, by which engine."""

from shared.models import Model


class About(Model):
    """What a decision is about.

    Attributes:
        request_id: the request; empty before there is one.
        application: its application.
        environment: the environment; empty for the request as a whole.
    """

    request_id: str = ""
    application: str = ""
    environment: str = ""


class PolicyDecision(Model):
    """A decision without what was decided on: the input may hold what is nobody's business, its digest does not.

    Attributes:
        package: the rules that were asked, for example ``appstore.plan``.
        about: what it is about.
        revision: revision of the rules; the bundle of an OPA server has the same.
        input_digest: SHA-256 of the canonical input; empty when it was no JSON.
        deny, require_approval, warn: ids of the findings, each once.
        engine: ``regorus`` or ``opa``.
        engine_decision_id: id of the decision in the OPA server's own log.
        duration_ms: how long it took.
        at: when, ISO 8601 in UTC.
    """

    schema_version: int = 1
    package: str
    about: About
    revision: str
    input_digest: str
    deny: tuple[str, ...] = ()
    require_approval: tuple[str, ...] = ()
    warn: tuple[str, ...] = ()
    engine: str
    engine_decision_id: str = ""
    duration_ms: float
    at: str
