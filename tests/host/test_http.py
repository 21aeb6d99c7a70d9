"""HTTP functions answer as on the real host."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("method", "path", "function", "params"),
    [
        ("GET", "/v1/items/special", "literal", {}),
        ("GET", "/v1/ITEMS/Special", "literal", {}),
        ("GET", "/v1/items/12", "constrained", {"id": "12"}),
        ("DELETE", "/v1/items/12", "constrained", {"id": "12"}),
        ("GET", "/v1/items/twelve", "plain", {"id": "twelve"}),
        ("GET", "/v1/items/a%20b", "plain", {"id": "a b"}),
        ("GET", "/v1/optional", "optional", {}),
        ("GET", "/v1/optional/x", "optional", {"name": "x"}),
        ("GET", "/v1/default", "default", {"name": "nobody"}),
        ("PUT", "/v1/files/a/b/c.txt", "catch_all", {"rest": "a/b/c.txt"}),
        ("GET", "/v1/files", "catch_all", {}),
    ],
)
def test_routes(web: Any, method: str, path: str, function: str, params: dict[str, str]) -> None:
    document = web.request(method, path).json()
    assert (document["function"], document["params"], document["method"]) == (function, params, method)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/items/12", 404),  # a method that is not allowed is no route
        ("GET", "/v1/items/12/more", 404),
        ("GET", "/api/items/12", 404),  # the prefix is v1
        ("GET", "/v1/missing", 404),
        ("GET", "/v1/switched_off", 404),
        ("GET", "/v1/raises", 500),
        ("GET", "/v1/nothing", 500),
        ("GET", "/v1/guarded", 200),  # keys only with --auth
        ("GET", "/", 200),
        ("GET", "/admin/host/ping", 200),
        ("POST", "/runtime/webhooks/unknown/x", 404),
    ],
)
def test_status_codes(web: Any, method: str, path: str, status: int) -> None:
    answer = web.request(method, path)
    assert answer.status_code == status
    assert "secret detail" not in answer.text


def test_the_worker_gets_what_the_real_host_sends(web: Any) -> None:
    answer = web.post("/v1/files/x?a=1&a=2&empty=&b=c", content=b"\x00\xff", headers={"X-Mixed-Case": "Yes"})
    document = answer.json()
    assert document["query"] == {"a": "1,2", "b": "c"}
    assert document["headers"]["x-mixed-case"] == "Yes"
    assert document["body"] == "\x00\xff"
    assert document["url"].endswith("/v1/files/x?a=1&a=2&empty=&b=c")
    assert answer.headers["Content-Type"] == "application/json"


def test_a_chunked_body_is_dropped_as_on_the_real_host(web: Any) -> None:
    assert web.post("/v1/files/x", content=iter([b"chunk"])).json()["body"] == ""


def test_response_headers_and_cookies(web: Any) -> None:
    answer = web.get("/v1/cookies")
    assert (answer.status_code, answer.headers["X-Custom"]) == (201, "yes")
    assert answer.headers["Set-Cookie"] == "a=b; HttpOnly; Path=/"


def test_app_settings_are_there_before_the_import(web: Any) -> None:
    answer = web.get("/v1/greeting")
    assert answer.text == "from local.settings.json"
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_the_app_imports_from_its_own_folder(web: Any) -> None:
    path = web.get("/v1/import_path").json()
    assert path[0] == str(web.root)
    assert "" not in path


def test_unknown_host_setting_is_warned_about(web: Any) -> None:
    assert "unknown setting 'noSuchSetting' is ignored" in web.log()


def test_admin_lists_functions_and_runs_them(web: Any) -> None:
    functions = {item["name"]: item for item in web.get("/admin/functions").json()}
    assert functions["switched_off"]["isDisabled"] is True
    assert functions["plain"]["config"]["bindings"][0]["route"] == "items/{id}"
    assert web.get("/admin/functions/plain").json()["name"] == "plain"
    assert web.post("/admin/functions/missing", json={}).status_code == 404
    assert web.post("/admin/functions/plain").status_code == 400
    status = web.get("/admin/host/status").json()
    assert status["state"] == "Running"
    assert status["worker"]["pid"] > 0


def test_function_timeout_replaces_the_worker(web: Any, eventually: Callable[..., None]) -> None:
    before = web.get("/admin/host/status").json()["worker"]
    assert web.get("/v1/hangs").status_code == 500
    assert "Timeout value of 1 s exceeded by function 'Functions.hangs'" in web.log()
    eventually(lambda: web.get("/admin/host/status").json()["worker"]["restarts"] > before["restarts"])
    assert web.get("/v1/greeting").status_code == 200


def test_invocations_are_logged_like_the_real_host(web: Any) -> None:
    web.get("/v1/greeting")
    assert "Executing 'Functions.greeting' (Reason='This function was programmatically called" in web.log()
    assert "Executed 'Functions.greeting' (Succeeded, Id=" in web.log()


def test_keys_are_asked_for_with_auth(new_host: Callable[..., Any]) -> None:
    host = new_host("web", "--auth").start()
    keys = json.loads((host.data / "keys.json").read_text())
    assert (host.data / "keys.json").stat().st_mode & 0o077 == 0
    expected = {"": 401, "wrong": 401, keys["function"]: 200, keys["master"]: 200, keys["system"]: 401}
    assert {key: host.get(f"/v1/guarded?code={key}").status_code for key in expected} == expected
    assert host.get("/v1/guarded", headers={"x-functions-key": keys["function"]}).status_code == 200
    assert host.get(f"/v1/guarded_admin?code={keys['function']}").status_code == 401
    assert host.get(f"/v1/guarded_admin?code={keys['master']}").status_code == 200
    assert host.get("/v1/greeting").status_code == 200
    assert host.get("/admin/functions").status_code == 401
    assert host.get("/runtime/webhooks/durabletask/instances").status_code == 401
    assert host.get(f"/runtime/webhooks/durabletask/instances?code={keys['system']}").status_code == 200


def test_a_taken_port_is_one_sentence(new_host: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host = new_host("web", "--port", str(port))
        assert host.launch().wait(20) == 1
    assert host.log().splitlines()[-1] == (
        f"Port {port} is taken: stop the program that uses it or choose another --port."
    )
