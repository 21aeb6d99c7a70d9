from datetime import UTC, datetime

import pytest

from shared.clients._http import wait_before_retry
from shared.clients._retry_after import retry_after
from shared.errors import TransientIntegrationError, VendorCall

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "17"}, 17.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After": "Wed, 25 Nov 2026 12:01:00 GMT"}, 60.0),
        ({"Retry-After": "Wed, 25 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "Retry-After": "60"}, 1.5),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 90)}, 90.0),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": str(int(NOW.timestamp()) + 90)}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0.25"}, 0.25),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-25T12:01Z"}, 60.0),
        ({"x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": "00:01:05"}, 65.0),
    ],
)
def test_every_dialect(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def _error(status: int | None, wait: float | None = None) -> TransientIntegrationError:
    return TransientIntegrationError(VendorCall("github", "create repository", status), "x", wait)


@pytest.mark.parametrize(
    ("method", "status", "wait", "attempt", "expected"),
    [
        ("GET", 500, None, 1, 1.0),
        ("GET", 500, None, 2, 2.0),
        ("GET", 500, None, 3, None),
        ("GET", None, None, 1, 1.0),
        ("POST", None, None, 1, None),
        ("POST", 500, None, 1, None),
        ("POST", 429, None, 1, 1.0),
        ("POST", 403, 5.0, 1, 5.0),
        ("PATCH", 502, None, 1, None),
        ("PUT", 503, 7.0, 1, 7.0),
        ("GET", 429, 60.0, 1, None),
    ],
)
def test_a_post_that_may_have_been_done_is_not_repeated(
    method: str, status: int | None, wait: float | None, attempt: int, expected: float | None
) -> None:
    assert wait_before_retry(method, _error(status, wait), attempt) == expected
