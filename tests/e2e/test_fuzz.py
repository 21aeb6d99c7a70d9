"""Malformed bodies over every POST route: a clear 4xx, never a 5xx, and nothing begun."""

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.driver import Desk, body

UNKNOWN = "req-000000000000"
CLEAR = {400, 403, 404, 409, 413, 415, 422}
ALERTS = "/api/alerts/azure-monitor"
WORDS = ["NaN", "Infinity", "-1e999", "null", '"\\ud800"', '"\\u0000"', "[" * 60, "{}", "1" * 400, '""', "true", "{"]
TYPES = ["application/json", "application/json; charset=utf-16", "text/plain", "application/xml", "", "x" * 300]

type Spoil = Callable[[random.Random, bytes], bytes]


def _cut(chance: random.Random, text: bytes) -> bytes:
    return text[: chance.randrange(len(text))]


def _flip(chance: random.Random, text: bytes) -> bytes:
    spoilt = bytearray(text)
    for _ in range(chance.randrange(1, 6)):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def _value(chance: random.Random, text: bytes) -> bytes:
    """Another value for one field, which may be no JSON at all."""
    document = json.loads(text)
    name = chance.choice(list(document) or ["reason"])
    document[name] = "@@"
    return json.dumps(document).replace('"@@"', chance.choice(WORDS)).encode()


def _twice(chance: random.Random, text: bytes) -> bytes:
    document = json.loads(text)
    name = chance.choice(list(document) or ["reason"])
    return b"{%s: 1, %s" % (json.dumps(name).encode(), text.lstrip(b"{"))


def _deep(chance: random.Random, _text: bytes) -> bytes:
    depth = chance.randrange(21, 3000)
    return b'{"parameters": ' + b"[" * depth + b"]" * depth + b"}"


def _long(chance: random.Random, text: bytes) -> bytes:
    return text.replace(b"}", b" " * chance.randrange(262_145, 300_000) + b"}", 1)


def _noise(chance: random.Random, _text: bytes) -> bytes:
    return chance.randbytes(chance.randrange(1, 400))


SPOILS: list[Spoil] = [_cut, _flip, _flip, _value, _value, _twice, _deep, _noise, _long]


@dataclass(frozen=True)
class Shot:
    """One spoilt call."""

    route: str
    content: bytes
    kind: str
    key: str


def shots(seed: int, count: int, routes: list[str]) -> list[Shot]:
    """Calls that cannot be accepted: the region of every order is in no landing zone, the request is unknown."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    found = []
    for number in range(count):
        route = chance.choice(routes)
        whole = (
            body(f"fuzz-{number}", region="nowhere1") if route.startswith("/api/requests") and "{" not in route else {}
        )
        whole |= {"planDigest": "0" * 64} if route.endswith("approve") else {}
        content = chance.choice(SPOILS)(chance, json.dumps(whole).encode())
        kind = TYPES[0] if chance.random() < 0.8 else chance.choice(TYPES)
        found.append(Shot(route.replace("{id}", UNKNOWN).replace("{kind}", "welcome"), content, kind, f"fuzz-{number}"))
    return found


def _fire(desk: Desk, count: int, seed: int) -> None:
    paths = desk.stack.api.get("/api/openapi.json").json()["paths"]
    routes = sorted(path for path, item in paths.items() if "post" in item)
    assert len(routes) >= 7
    position = desk.position()
    bearer = desk.stack.bearer("admin")
    with httpx.Client(base_url=desk.stack.host_url, timeout=60, trust_env=False) as client:

        def fire(shot: Shot) -> str | None:
            headers = bearer | {"Idempotency-Key": shot.key, "Content-Type": shot.kind}
            answer = client.post(shot.route, content=shot.content, headers=headers)
            problem = answer.headers["content-type"].startswith("application/problem+json")
            told = problem and {"type", "title", "status", "detail", "instance"} <= answer.json().keys()
            clear = CLEAR | ({401} if shot.route == ALERTS else set())  # ours is not the token of an action group
            if answer.status_code in clear and told and len(answer.json()["detail"]) < 1000:
                return None
            return f"{shot}: {answer.status_code} {answer.text[:300]}"

        with ThreadPoolExecutor(16) as pool:
            wrong = [line for line in pool.map(fire, shots(seed, count, routes)) if line]
    assert not wrong, f"{len(wrong)} of {count}, the first: {wrong[0]}"
    assert not desk.mutations(position)


@pytest.fixture
def seed() -> int:
    """Printed with a failure, so that it can be repeated."""
    number = random.SystemRandom().randrange(10**6)
    print(f"seed {number}")  # noqa: T201
    return number


def test_spoilt_bodies_are_refused_in_words(desk: Desk, seed: int) -> None:
    _fire(desk, 600, seed)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_ten_thousand_spoilt_bodies_are_refused_in_words(desk: Desk, seed: int) -> None:
    _fire(desk, 10_000, seed)
