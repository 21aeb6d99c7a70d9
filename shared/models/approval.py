"""Inputs of the wait for a decision about a plan."""

from shared.models import Model
from shared.models.runs import ActivityInput, Pace


class ApproveInput(Model):
    """Input of ``approve``.

    Attributes:
        asked_at: when the plan was put up; empty in runs that began before there were reminders: they get none.
        servicenow: whether a part of the decision is made there, so that it has to be looked at.
        told: reminder and escalation that were seen to, so that the flow can begin anew with a short history.
        interval: seconds until the next look at ServiceNow; 0: begin with the shortest.
    """

    request_id: str
    application: str
    digest: str
    decide_before: str
    attempt: int = 1
    pace: Pace = Pace()
    asked_at: str = ""
    servicenow: bool = False
    told: list[str] = []
    interval: float = 0.0


class PlanDecision(ActivityInput):
    """What is to be done about the decision on one plan, and no other."""

    digest: str
