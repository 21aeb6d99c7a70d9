"""Who signed what: a bundle counts when every part of it holds, and for nothing else."""

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.vendors.github_attestations.authority import Authority
from shared.attestations import AttestationError, Statement, read_roots, verify
from shared.errors import ConfigurationError

WORKFLOW = "contoso/payments-api/.github/workflows/ci.yml@refs/heads/main"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLAIMS = {
    "job_workflow_ref": WORKFLOW,
    "repository": "contoso/payments-api",
    "repository_id": "900000001",
    "runner_environment": "github-hosted",
    "sha": COMMIT,
    "ref": "refs/heads/main",
    "event_name": "push",
}
STATEMENT = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "crcontosodev.azurecr.io/payments-api", "digest": {"sha256": "a" * 64}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {"buildDefinition": {"resolvedDependencies": [{"digest": {"gitCommit": COMMIT}}]}},
}

type Bundle = dict[str, Any]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, bytes]:
    file = tmp_path_factory.mktemp("ca") / "attestations.pem"
    return Authority(file), file.read_bytes()


@pytest.fixture(scope="module")
def bundle(authority: tuple[Authority, bytes]) -> Bundle:
    return authority[0].bundle(CLAIMS, STATEMENT)


def test_a_signed_statement_is_what_it_says(authority: tuple[Authority, bytes], bundle: Bundle) -> None:
    statement = verify(bundle, authority[1])
    assert isinstance(statement, Statement)
    assert (statement.signer, statement.commit) == (f"https://github.com/{WORKFLOW}", COMMIT)
    assert statement.subjects == (f"sha256:{'a' * 64}",)
    assert statement.signed_at.endswith("Z")


def _payload(change: Callable[[Any], None]) -> Callable[[Bundle], None]:
    def work(bundle: Bundle) -> None:
        document = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        change(document)
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(document).encode()).decode()

    return work


def _certificate(bundle: Bundle) -> Bundle:
    found: Bundle = bundle["verificationMaterial"]["certificate"]
    return found


TAMPERED: dict[str, Callable[[Bundle], Any]] = {
    "another digest": _payload(lambda it: it["subject"][0]["digest"].update(sha256="b" * 64)),
    "another commit": _payload(lambda it: it["predicate"].update(buildDefinition={})),
    "another kind of payload": lambda it: it["dsseEnvelope"].update(payloadType="text/plain"),
    "no signature": lambda it: it["dsseEnvelope"].update(signatures=[]),
    "a signature of nothing": lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
    "a signature that is no base64": lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="%"),
    "no certificate": lambda it: it["verificationMaterial"].pop("certificate"),
    "no real certificate": lambda it: _certificate(it).update(rawBytes="AAAA"),
    "nothing": lambda it: it.clear(),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_changed_afterwards_proves_nothing(
    authority: tuple[Authority, bytes], bundle: Bundle, name: str
) -> None:
    changed = copy.deepcopy(bundle)
    TAMPERED[name](changed)
    with pytest.raises(AttestationError):
        verify(changed, authority[1])


def test_the_signature_of_another_authority_proves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    Authority(tmp_path / "other.pem")
    with pytest.raises(AttestationError, match="authority"):
        verify(bundle, (tmp_path / "other.pem").read_bytes())


def test_a_bundle_of_an_older_version_carries_a_chain(authority: tuple[Authority, bytes], bundle: Bundle) -> None:
    older = copy.deepcopy(bundle)
    certificate = older["verificationMaterial"].pop("certificate")
    older["verificationMaterial"]["x509CertificateChain"] = {"certificates": [certificate]}
    assert verify(older, authority[1]) == verify(bundle, authority[1])


def test_a_missing_file_of_roots_is_named() -> None:
    with pytest.raises(ConfigurationError, match="ATTESTATION_ROOTS"):
        read_roots("/nonexistent/roots.pem")


@pytest.mark.parametrize("predicate", [{}, {"buildDefinition": 1}, {"buildDefinition": {"resolvedDependencies": [1]}}])
def test_a_provenance_without_a_commit_names_none(predicate: Any) -> None:
    assert Statement("x", predicate, (), "", "").commit == ""
