import json

import httpx
import pytest

from shared.clients import _http
from shared.clients._http import Call, Vendor, error_of
from shared.errors import (
    ConflictError,
    IntegrationError,
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    TransientIntegrationError,
)
from shared.models import Model

CALL = Call("get thing", "GET", "/thing")


class Thing(Model):
    name: str


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (400, {}, PermanentIntegrationError),
        (401, {}, NotAuthorizedError),
        (403, {}, NotAuthorizedError),
        (403, {"retry-after": "3"}, TransientIntegrationError),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"}, TransientIntegrationError),
        (404, {}, NotFoundError),
        (409, {}, ConflictError),
        (412, {}, ConflictError),
        (422, {}, ConflictError),
        (429, {}, TransientIntegrationError),
        (500, {}, TransientIntegrationError),
        (503, {}, TransientIntegrationError),
        (302, {"location": "https://elsewhere/?token=ghs_secret"}, TransientIntegrationError),
        (204, {}, TransientIntegrationError),
    ],
)
def test_every_unexpected_answer_has_its_error(
    status: int, headers: dict[str, str], kind: type[IntegrationError]
) -> None:
    error = error_of("github", CALL, httpx.Response(status, headers=headers, json={"message": "no"}))
    assert type(error) is kind
    assert error.call.status_code == status
    assert "ghs_secret" not in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "AuthorizationFailed", "message": "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIi.c2ln is bad"}},
        {"message": "bad password=hunter2 given"},
        {"errors": [{"message": "bearer abc.def leaked"}], "message": "x"},
    ],
)
def test_errors_carry_no_secret(body: dict[str, object]) -> None:
    text = str(error_of("arm", CALL, httpx.Response(400, json=body)))
    assert not [secret for secret in ("eyJhbGciOi", "hunter2", "abc.def") if secret in text]


@pytest.mark.parametrize("content", [b"{}", b"<html>Sign in</html>", b"", b"[]", b'"x"', b'{"name": null}'])
async def test_200_alone_is_no_success(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=content))
    client = httpx.AsyncClient(transport=transport)
    monkeypatch.setattr(_http, "_client", lambda: client)
    with pytest.raises(TransientIntegrationError, match="not what the vendor documents"):
        await Vendor("github", "https://api.github.com", _nobody).read(CALL, Thing)


async def test_a_good_answer_is_counted_as_success(monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps({"name": "a", "unknown": 1}).encode()
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _request: httpx.Response(200, content=content)))
    monkeypatch.setattr(_http, "_client", lambda: client)
    thing = await Vendor("test vendor", "https://api.github.com", _nobody).read(CALL, Thing)
    assert thing.name == "a"
    assert _http.health()["test vendor"].last_success


class Part(Model):
    value: list[int]
    next_link: str | None = None


async def test_a_collection_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        "/thing?top=2": {"value": [1, 2], "nextLink": "https://api.github.com/thing?skip=2"},
        "/thing?skip=2": {"value": [3], "nextLink": "https://api.github.com/thing?skip=3"},
        "/thing?skip=3": {"value": [], "nextLink": ""},
    }
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=parts[request.url.raw_path.decode()]))
    client = httpx.AsyncClient(transport=transport)
    monkeypatch.setattr(_http, "_client", lambda: client)
    call = Call("list things", "GET", "/thing", params={"top": "2"})
    pages = Vendor("github", "https://api.github.com", _nobody).pages(call, Part)
    assert [number async for page in pages for number in page.value] == [1, 2, 3]


@pytest.mark.parametrize(
    "link",
    ["https://elsewhere.example/thing", "https://api.github.com.elsewhere.example/x", "https://api.github.com/thing"],
)
async def test_no_credential_follows_a_link_to_elsewhere_and_nothing_ends_in_silence(
    link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(200, json={"value": [1], "nextLink": link})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(_http, "_client", lambda: client)
    with pytest.raises(PermanentIntegrationError, match="the next page is elsewhere"):
        [page async for page in Vendor("github", "https://api.github.com", _nobody).pages(CALL, Part)]
    assert asked == ["api.github.com"]


async def _nobody() -> dict[str, str]:
    return {}
