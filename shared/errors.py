"""Every error the product raises on purpose.

A caller decides by type alone: configuration is an operator's business, a rejected request the
caller's, a transient integration error is tried again, a permanent one is reported.
"""

from dataclasses import dataclass


class AppStoreError(Exception):
    """Base of all errors of the App Store; ``code`` is stable and safe to show."""

    code = "appstore-error"


class ConfigurationError(AppStoreError):
    """A setting is missing or wrong; ``variable`` names it."""

    code = "not-configured"

    def __init__(self, variable: str, why: str) -> None:
        super().__init__(f"{variable}: {why}")
        self.variable = variable


class RequestRejectedError(AppStoreError):
    """The caller's request cannot be accepted.

    Attributes:
        status: 4xx status of the answer.
        pointer: JSON pointer of the offending field, or None.
    """

    def __init__(self, code: str, detail: str, *, status: int = 422, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.pointer = pointer


class PolicyViolationError(AppStoreError):
    """The rules deny it; ``rules`` holds the ids of the denying rules."""

    code = "policy-denied"

    def __init__(self, rules: tuple[str, ...], detail: str) -> None:
        super().__init__(detail)
        self.rules = rules


class ArchetypeError(AppStoreError):
    """An archetype folder is not what it should be; ``path`` names the file."""

    code = "archetype-invalid"

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


class StateConflictError(AppStoreError):
    """Somebody else was faster: the row is no longer in an expected state."""

    code = "state-conflict"

    def __init__(self, state: str, detail: str) -> None:
        super().__init__(detail)
        self.state = state


@dataclass(frozen=True)
class VendorCall:
    """Where an integration error happened.

    Attributes:
        integration: the vendor, for example ``github``.
        operation: the call in the vendor's words, for example ``create repository``.
        status_code: HTTP status, None when no answer came.
        vendor_request_id: the vendor's own id of the call, for its support.
    """

    integration: str
    operation: str
    status_code: int | None = None
    vendor_request_id: str | None = None


class IntegrationError(AppStoreError):
    """A vendor did not do what was asked."""

    code = "integration-failed"

    def __init__(self, call: VendorCall, detail: str) -> None:
        answer = f"HTTP {call.status_code}" if call.status_code else "no answer"
        super().__init__(f"{call.integration}: {call.operation}: {detail} ({answer})")
        self.call = call
        self.detail = detail


class TransientIntegrationError(IntegrationError):
    """Worth trying again; ``retry_after`` in seconds when the vendor said so."""

    code = "integration-transient"

    def __init__(self, call: VendorCall, detail: str, retry_after: float | None = None) -> None:
        super().__init__(call, detail)
        self.retry_after = retry_after


class PermanentIntegrationError(IntegrationError):
    """The same call again would fail again."""

    code = "integration-permanent"


class NotAuthorizedError(PermanentIntegrationError):
    """Our identity may not do this (401, 403)."""

    code = "integration-not-authorised"


class NotFoundError(PermanentIntegrationError):
    """The object does not exist (404, 410)."""

    code = "integration-not-found"


class ConflictError(PermanentIntegrationError):
    """The object exists and is not ours, or is locked (409, 412, some 422)."""

    code = "integration-conflict"
