"""Every id that is derived, never drawn: the same question gives the same id, on every replay and every retry."""

import hashlib


def request_id(tenant: str, caller: str, idempotency_key: str) -> str:
    """Id of the request that this caller sends under this Idempotency-Key."""
    text = f"{tenant}\x00{caller}\x00{idempotency_key}"
    return f"req-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def promotion_id(tenant: str, caller: str, application: str, idempotency_key: str) -> str:
    """Id of the promotion that this caller asks for under this Idempotency-Key."""
    text = f"{tenant}\x00{caller}\x00{application}\x00{idempotency_key}"
    return f"pro-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def operation_id(application: str, operation: str, business_key: str) -> str:
    """Id of the operation that is asked for by this business key."""
    text = f"{application}\x00{operation}\x00{business_key}"
    return f"op-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def control_id(kind: str, tenant: str, caller: str, idempotency_key: str) -> str:
    """Id of the hold, freeze or exemption that this caller declares under this Idempotency-Key."""
    text = f"{tenant}\x00{caller}\x00{kind}\x00{idempotency_key}"
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def operation_instance(operation: str, attempt: int) -> str:
    """Orchestration instance of the n-th attempt at a Day-2 operation."""
    return f"{operation}:operate:{attempt}"


def removal_instance(operation: str, occasion: str) -> str:
    """Orchestration instance that removes what a drill left, once for each occasion."""
    return f"{operation}:removal:{occasion}"


def promote_instance(promotion: str, attempt: int) -> str:
    """Orchestration instance of the n-th attempt to promote."""
    return f"{promotion}:promote:{attempt}"


def onboard_instance(request: str, attempt: int) -> str:
    """Orchestration instance of the n-th attempt to onboard."""
    return f"{request}:onboard:{attempt}"


def undo_instance(request: str, attempt: int) -> str:
    """Orchestration instance of the n-th attempt to undo."""
    return f"{request}:undo:{attempt}"


def child_instance(parent: str, branch: str, attempt: int = 1) -> str:
    """Sub-orchestration of a branch."""
    return f"{parent}:{branch}:{attempt}"


def message_instance(key: str, tries: int) -> str:
    """Orchestration instance that sends a message again after so many tries."""
    return f"{key}:message:{tries}"


def iac_run(request: str, environment: str, action: str, attempt: str) -> str:
    """Run of the infrastructure pipeline: the name of its folder of artefacts, too."""
    return f"{request}-{environment}-{action}-{attempt}"


def finding_id(application: str, environment: str, address: str, attribute: str) -> str:
    """Id of the difference of one attribute: found again, it is the same one."""
    text = f"{application}\x00{environment}\x00{address}\x00{attribute}"
    return f"drf-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def campaign_id(tenant: str, caller: str, archetype: str, idempotency_key: str) -> str:
    """Id of the campaign that this caller asks for under this Idempotency-Key."""
    text = f"{tenant}\x00{caller}\x00{archetype}\x00{idempotency_key}"
    return f"cmp-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def campaign_instance(campaign: str, attempt: int) -> str:
    """Orchestration instance of the n-th attempt at a campaign."""
    return f"{campaign}:campaign:{attempt}"
