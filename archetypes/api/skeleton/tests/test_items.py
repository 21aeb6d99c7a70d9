"""The example resource, over HTTP."""

from uuid import UUID

import pytest
from fastapi.testclient import TestClient


def test_created_item_is_found_at_its_location(client: TestClient) -> None:
    created = client.post("/v1/items", json={"name": " first "})
    assert created.status_code == 201
    found = client.get(created.headers["location"])
    assert found.json() == created.json()
    assert found.json()["name"] == "first"


def test_list_is_limited_and_in_order(client: TestClient) -> None:
    for name in ("a", "b", "c"):
        client.post("/v1/items", json={"name": name})
    assert [item["name"] for item in client.get("/v1/items", params={"limit": 2}).json()] == ["a", "b"]


def test_unknown_item_is_404(client: TestClient) -> None:
    assert client.get(f"/v1/items/{UUID(int=0)}").status_code == 404


@pytest.mark.parametrize("body", [{}, {"name": "  "}, {"name": "a", "owner": "b"}])
def test_bad_item_is_refused(client: TestClient, body: dict[str, str]) -> None:
    assert client.post("/v1/items", json=body).status_code == 422
