"""Who may ask the OPA server: authz.rego in OPA's own engine, with tokens as Entra signs them."""

import importlib
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.rego_engines import needs_opa

pytestmark = needs_opa

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "opa"
TENANT, APP = "11111111-1111-1111-1111-111111111111", "30000000-0000-0000-0000-000000000001"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PLAN = ["v1", "data", "appstore", "plan", "decision"]
# The engine of the tests has no network and no process environment of its own: both come with the case.
FRAME = """package frame

import rego.v1

fetched(request) := {"status_code": data.case.status, "raw_body": data.case.keys} if {
	request.url == "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/discovery/v2.0/keys"
}

allowed := verdict if {
	verdict := data.system.authz.allow with http.send as fetched with opa.runtime as {"env": data.case.env}
}
"""


def keys(key: rsa.RSAPrivateKey = KEY) -> str:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return json.dumps({"keys": [{**public, "kid": "1", "use": "sig"}]})


def token(key: rsa.RSAPrivateKey = KEY, **changes: Any) -> str:
    claims = {
        "iss": f"https://sts.windows.net/{TENANT}/",
        "aud": "api://opa",
        "tid": TENANT,
        "oid": APP,
        "nbf": 1_700_000_000,
        "exp": 4_000_000_000,
    }
    return jwt.encode({**claims, **changes}, key, algorithm="RS256", headers={"kid": "1"})


def allowed(question: dict[str, Any], *, status: int = 200, published: str = "", objects: str = f"x,{APP}") -> Any:
    module = importlib.import_module("opa_bindings.engine")
    engine = module.OpaEngine()
    engine.add_policy("authz.rego", (FOLDER / "authz.rego").read_text(encoding="utf-8"))
    engine.add_policy("frame.rego", FRAME)
    env = {"OPA_TENANT_ID": TENANT, "OPA_AUDIENCE": "api://opa", "OPA_ALLOWED_OBJECTS": objects}
    engine.add_data({"case": {"env": env, "status": status, "keys": published or keys()}})
    try:
        return engine.eval_document("frame.allowed", question)
    except module.OpaError:  # a failing built-in: the server answers 500 and asks nothing else
        return False


def asked(identity: str, method: str = "POST", path: list[str] | None = None) -> dict[str, Any]:
    return {"method": method, "path": path or PLAN, "identity": identity}


@pytest.mark.parametrize("package", ["request", "plan", "promotion"])
def test_the_app_may_ask_for_decisions(package: str) -> None:
    path = ["v1", "data", "appstore", package, "decision"]
    assert allowed(asked(token(), path=path)) is True
    assert allowed(asked(token(iss=f"https://login.microsoftonline.com/{TENANT}/v2.0"), path=path)) is True


@pytest.mark.parametrize(
    "identity",
    [
        "",
        "nonsense",
        token(OTHER),
        token(aud="api://something-else"),
        token(oid="30000000-0000-0000-0000-000000000002"),
        token(oid=""),
        token(tid="22222222-2222-2222-2222-222222222222"),
        token(iss="https://sts.windows.net/22222222-2222-2222-2222-222222222222/"),
        token(exp=1_700_000_001),
        token(nbf=3_999_999_999),
        jwt.encode({"oid": APP, "aud": "api://opa"}, "", algorithm="none"),
    ],
    ids=["none", "nonsense", "key", "audience", "object", "no object", "tenant", "issuer", "old", "early", "unsigned"],
)
def test_nobody_else_may_ask(identity: str) -> None:
    assert allowed(asked(identity)) is False


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", ["v1", "policies", "x"]),
        ("PUT", ["v1", "data", "config"]),
        ("PATCH", PLAN),
        ("GET", PLAN),
        ("POST", ["v1", "data"]),
        ("POST", ["v1", "data", "config"]),
        ("POST", ["v1", "data", "appstore", "common", "decision"]),
        ("POST", ["v1", "query"]),
        ("POST", ["v1", "compile"]),
        ("GET", ["metrics"]),
    ],
)
def test_even_the_app_may_do_nothing_else(method: str, path: list[str]) -> None:
    assert allowed(asked(token(), method, path)) is False


def test_probes_need_no_token() -> None:
    assert allowed({"method": "GET", "path": ["health"]}) is True


def test_without_keys_or_callers_nobody_is_let_in() -> None:
    assert allowed(asked(token()), status=503) is False
    assert allowed(asked(token()), published="<html>") is False
    assert allowed(asked(token()), objects="") is False
    assert allowed(asked(token(oid="")), objects=",") is False


def test_the_log_of_decisions_holds_no_input() -> None:
    engine = importlib.import_module("opa_bindings").OpaEngine()
    engine.add_policy("mask.rego", (FOLDER / "mask.rego").read_text(encoding="utf-8"))
    assert sorted(engine.eval_document("system.log.mask", {})) == ["/input", "/result"]
    config = yaml.safe_load((FOLDER / "config.yaml").read_text(encoding="utf-8"))
    assert config["decision_logs"]["mask_decision"] == "/system/log/mask"
