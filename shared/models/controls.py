"""What stands above every rule: kill switch, freezes, legal holds, exemptions; and how a rule fares."""

from typing import ClassVar

from shared.models import Model


class KillSwitch(Model):
    """While it is on, no activity begins an effect."""

    on: bool
    reason: str = ""
    actor: str = ""
    actor_name: str = ""
    at: str = ""


class Scope(Model):
    """What a control covers; what is left empty covers everything of its kind.

    Attributes:
        application: name of the application.
        environment: stage.
        resource: ARM id, or the beginning of one; case does not matter.
        rule: rule of ``rules/guard.yaml``.
    """

    application: str = ""
    environment: str = ""
    resource: str = ""
    rule: str = ""

    def covers(self, *, application: str, environment: str | None, resource: str, rule: str) -> bool:
        """Whether an action falls under it."""
        below = resource.lower()
        top = self.resource.lower().rstrip("/")
        return (
            self.application in ("", application)
            and self.environment in ("", environment or "")
            and (not top or below == top or below.startswith(f"{top}/"))
            and self.rule in ("", rule)
        )


class Control(Model):
    """Something that stands above the rules.

    Attributes:
        kind: kind of its row.
        at: when it was declared.
    """

    kind: ClassVar[str]

    schema_version: int = 1
    id: str
    scope: Scope
    reason: str
    at: str


class LegalHold(Control):
    """Nothing that it covers is removed or changed, until it is lifted."""

    kind: ClassVar[str] = "hold"

    actor: str
    actor_name: str


class Exemption(Control):
    """A rule does not apply to what it covers, for a while.

    Attributes:
        owner: who asked for it; somebody else approves.
        approver: who approved; None while it waits, and until then it has no effect.
        expires_at: ISO 8601; afterwards it has no effect any more.
    """

    kind: ClassVar[str] = "exemption"

    owner: str
    owner_name: str
    owner_team: str = ""
    expires_at: str
    approver: str | None = None
    approver_name: str | None = None

    def holds(self, now: str) -> bool:
        """Whether it has an effect at this moment (ISO 8601)."""
        return self.approver is not None and now < self.expires_at


class FreezeRecord(Control):
    """A freeze that was declared at run time, beside those of ``rules/freezes.yaml``."""

    kind: ClassVar[str] = "freeze"

    begins: str
    ends: str
    actor: str
    actor_name: str

    def holds(self, now: str) -> bool:
        """Whether it is in force at this moment (ISO 8601)."""
        return self.begins <= now < self.ends


class Breaker(Model):
    """How a rule fares: after so many failures in a row it pauses.

    Attributes:
        failures: in a row.
        opened_at: since when it pauses; None while it does not.
        probe: the operation that may try again after the pause.
    """

    failures: int = 0
    opened_at: str | None = None
    probe: str | None = None
