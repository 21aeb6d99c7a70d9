"""`gh` of the local runner: `gh attestation verify oci://<name>@<digest> --repo <owner/name> ...`, over the API.

https://cli.github.com/manual/gh_attestation_verify
"""

import argparse
import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PROVENANCE = "https://slsa.dev/provenance/v1"


def main(arguments: list[str]) -> str:
    """Verify; returns what the command prints. Ends the process with gh's words when nothing can be verified."""
    roots = Path(arguments[0]).read_bytes()
    given = _options(arguments[1:])
    name, _, digest = given.artifact.removeprefix("oci://").partition("@")
    if not digest.startswith("sha256:"):
        sys.exit("gh: this runner verifies images by digest only: oci://<name>@sha256:<digest>")
    found = _fetch(given.repo, digest)
    signer = f"https://github.com/{given.signer_workflow}@{given.source_ref}"
    good = [item for item in found if _holds(item["bundle"], roots, digest, signer, given.predicate_type)]
    if not good:
        sys.exit(f"Error: verifying with issuer failed: no attestation of {digest} was signed by {signer}")
    return f"Loaded digest {digest} for {name}\n{len(good)} attestation(s) verified, signed by {signer}"


def _options(arguments: list[str]) -> argparse.Namespace:
    if arguments[:2] != ["attestation", "verify"]:
        sys.exit(f"gh: this runner has `gh attestation verify` only, not `gh {' '.join(arguments)}`")
    parser = argparse.ArgumentParser(prog="gh attestation verify")
    parser.add_argument("artifact")
    for name in ("--repo", "--signer-workflow", "--source-ref"):
        parser.add_argument(name, required=True)
    parser.add_argument("--predicate-type", default=PROVENANCE)
    return parser.parse_args(arguments[2:])


def _fetch(repository: str, digest: str) -> list[dict[str, Any]]:
    url = f"https://api.github.com/repos/{repository}/attestations/{digest}"
    token = os.environ.get("GH_TOKEN", "")
    if not token:
        sys.exit("gh: To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment variable.")
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - https
            found: list[dict[str, Any]] = json.load(answer)["attestations"]
            return found
    except urllib.error.HTTPError as error:
        sys.exit(f"Error: failed to fetch attestations: HTTP {error.code} ({url})")


def _holds(bundle: dict[str, Any], roots: bytes, digest: str, signer: str, kind: str) -> bool:
    leaf = x509.load_der_x509_certificate(base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"]))
    envelope = bundle["dsseEnvelope"]
    payload, type_ = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    signed = b"DSSEv1 %d %s %d %s" % (len(type_), type_.encode(), len(payload), payload)
    key = leaf.public_key()
    try:
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificates(roots)[0])
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - what the authority certifies
        key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    statement = json.loads(payload)
    subjects = [f"sha256:{item['digest']['sha256']}" for item in statement["subject"]]
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return digest in subjects and uris == [signer] and statement["predicateType"] == kind


if __name__ == "__main__":
    print(main(sys.argv[1:]))  # noqa: T201 - a command's answer
