"""The whole-estate plan: everything that will be made, in which system, at what price, under which rules."""

from typing import Any

from shared.models import Model


class Change(Model):
    """One object that the run will create or alter.

    Attributes:
        system: ``azure``, ``github``, ``kubernetes``.
        type: the vendor's name of the kind of object.
        name: address or natural key of the object within its system.
        action: create, update, replace or delete.
        environment: the environment it belongs to, None for the application as a whole.
    """

    system: str
    type: str
    name: str
    action: str = "create"
    environment: str | None = None


class MadeObject(Model):
    """An object that carries our request id after a step; undo removes exactly these."""

    system: str
    type: str
    name: str
    environment: str | None = None


class EnvironmentPlan(Model):
    """The saved plan of one environment.

    Attributes:
        environment: dev, qa or prod.
        run_id: pipeline run whose saved plan may be applied.
        commit: commit of the infrastructure repository that holds the variables.
        pull_number: pull request that carries the change.
        plan_sha256: digest of the saved plan file; apply refuses any other.
        changeset_digest: digest of the redacted change set.
        summary: number of objects by action.
        changes: the change set's objects.
        engine: terraform or deployment_stack.
    """

    environment: str
    run_id: str
    commit: str
    pull_number: int
    pull_url: str
    plan_sha256: str
    changeset_digest: str
    summary: dict[str, int]
    changes: list[Change]
    engine: str = "terraform"


class PlanPins(Model):
    """What the plan was computed from; when one of them moves, the plan is no longer the one shown.

    Attributes:
        exceptions: digest of the exceptions in force that concern the application; it moves when one of them begins or
            ends. Empty: none.
    """

    rules_revision: str
    price_revision: str
    archetype_digest: str
    exceptions: str = ""


class PlanReference(Model):
    """The current plan of a request, as kept in its row; the document itself is a blob.

    Attributes:
        digest: SHA-256 of the document's canonical JSON: what an approver approves.
        blob: name of the blob that holds the very bytes.
        round: how often the request has been planned.
    """

    digest: str
    blob: str
    round: int
    pins: PlanPins
    summary: dict[str, Any]
    environments: list[EnvironmentPlan]
    changes: int
    approvals: list[dict[str, Any]] = []
