"""The certificate authority of workflow signatures, as Sigstore's Fulcio: a certificate for minutes, for one workflow.

https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ISSUER = "https://token.actions.githubusercontent.com"
PAYLOAD = "application/vnd.in-toto+json"
OID = "1.3.6.1.4.1.57264.1."
LIFE = timedelta(minutes=10)


class Authority:
    """A root of its own in `file`, with its key beside it; made on first use."""

    def __init__(self, file: Path) -> None:
        key_file = file.with_suffix(".key")
        if not key_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Local attestations")])
            made = _builder(name, name, key.public_key(), timedelta(days=365))
            made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(encoding))
            key_file.touch(mode=0o600)
            key_file.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
        self._key: Any = serialization.load_pem_private_key(key_file.read_bytes(), None)
        self._name = x509.load_pem_x509_certificate(file.read_bytes()).subject

    def bundle(self, claims: dict[str, Any], statement: dict[str, Any]) -> dict[str, Any]:
        """A statement, signed by a new key that is certified for the workflow of these claims."""
        key = ec.generate_private_key(ec.SECP256R1())
        signer = f"https://github.com/{claims['job_workflow_ref']}"
        source = f"https://github.com/{claims['repository']}"
        facts = {8: ISSUER, 9: signer, 11: claims["runner_environment"], 12: source, 13: claims["sha"]}
        facts |= {14: claims["ref"], 15: claims["repository_id"], 20: claims["event_name"]}
        certificate = _builder(x509.Name([]), self._name, key.public_key(), LIFE)
        certificate = certificate.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(signer)]), critical=True
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        for number, value in facts.items():
            text = value.encode()
            length = bytes([len(text)]) if len(text) < 128 else bytes([0x81, len(text)])
            encoded = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{OID}{number}"), b"\x0c" + length + text)
            certificate = certificate.add_extension(encoded, critical=False)
        payload = json.dumps(statement).encode()
        signature = key.sign(authenticated(PAYLOAD, payload), ec.ECDSA(hashes.SHA256()))
        raw = certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        material = {"tlogEntries": [], "timestampVerificationData": {"rfc3161Timestamps": []}}
        envelope = {"payload": _text(payload), "payloadType": PAYLOAD, "signatures": [{"sig": _text(signature)}]}
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material | {"certificate": {"rawBytes": _text(raw)}},
            "dsseEnvelope": envelope,
        }


def authenticated(kind: str, payload: bytes) -> bytes:
    """What is signed (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md)."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=1))
        .not_valid_after(now + life)
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
