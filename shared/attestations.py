"""Verifying an artifact attestation: who signed which statement about which digest.

A bundle (https://docs.sigstore.dev/about/bundle/) holds a DSSE envelope and the signer's certificate. The authority
gives such a certificate for minutes, to one run of one workflow, whose reference is its subject alternative name.
What is checked: the certificate's chain to the configured authority, its purpose and its issuer of identities, the
envelope's signature. What is not: time stamps and transparency logs; the pipeline's ``gh attestation verify`` does.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import ConfigurationError

_PAYLOAD = "application/vnd.in-toto+json"
_ISSUER = "https://token.actions.githubusercontent.com"
_ISSUER_EXTENSION = "1.3.6.1.4.1.57264.1.8"


class AttestationError(ValueError):
    """The bundle proves nothing; the sentence says why."""


@dataclass(frozen=True)
class Statement:
    """A statement whose signature holds.

    Attributes:
        predicate_type: kind of statement, for example ``https://slsa.dev/provenance/v1``.
        predicate: the statement itself.
        subjects: digests that it is about.
        signer: address of the workflow that signed it.
        signed_at: when its certificate was given, ISO 8601 in UTC.
    """

    predicate_type: str
    predicate: dict[str, Any]
    subjects: tuple[str, ...]
    signer: str
    signed_at: str

    @property
    def commit(self) -> str:
        """Commit that a provenance says the artefact was built from; empty when it says none."""
        definition = self.predicate.get("buildDefinition")
        sources = definition.get("resolvedDependencies") if isinstance(definition, dict) else None
        for source in sources if isinstance(sources, list) else []:
            digest = source.get("digest") if isinstance(source, dict) else None
            if isinstance(digest, dict) and isinstance(digest.get("gitCommit"), str):
                return str(digest["gitCommit"])
        return ""


def read_roots(path: str) -> bytes:
    """The authority's certificates.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError("ATTESTATION_ROOTS", f"cannot be read: {error.strerror}") from error


def verify(bundle: dict[str, Any], roots: bytes) -> Statement:
    """Verify a bundle and return its statement.

    Args:
        bundle: the bundle as GitHub stores it.
        roots: certificates of the authority, PEM.

    Raises:
        AttestationError: it is malformed, or not signed by whom it says.
    """
    try:
        return _verified(bundle, roots)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, binascii.Error) as error:
        if isinstance(error, AttestationError):
            raise
        raise AttestationError(f"the bundle cannot be read: {type(error).__name__}") from error


def _verified(bundle: dict[str, Any], roots: bytes) -> Statement:
    from cryptography import x509  # noqa: PLC0415 - heavy
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - heavy

    envelope = bundle["dsseEnvelope"]
    if envelope["payloadType"] != _PAYLOAD or len(envelope["signatures"]) != 1:
        raise AttestationError("it is no in-toto statement with one signature")
    payload = base64.b64decode(envelope["payload"], validate=True)
    leaf = x509.load_der_x509_certificate(_leaf(bundle["verificationMaterial"]))
    _require_chain(leaf, x509.load_pem_x509_certificates(roots))
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise AttestationError("the certificate's key is of another kind")
    try:
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        key.verify(signature, _authenticated(payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise AttestationError("the signature does not fit the statement") from None
    statement = json.loads(payload)
    return Statement(
        predicate_type=str(statement["predicateType"]),
        predicate=statement["predicate"] if isinstance(statement["predicate"], dict) else {},
        subjects=tuple(f"sha256:{subject['digest']['sha256']}" for subject in statement["subject"]),
        signer=_signer(leaf),
        signed_at=leaf.not_valid_before_utc.isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def _leaf(material: dict[str, Any]) -> bytes:
    """The signer's certificate: alone since version 0.3 of the bundle, before that the first of a chain."""
    if "certificate" in material:
        return base64.b64decode(material["certificate"]["rawBytes"], validate=True)
    return base64.b64decode(material["x509CertificateChain"]["certificates"][0]["rawBytes"], validate=True)


def _authenticated(payload: bytes) -> bytes:
    """What the signature covers (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md)."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)


def _require_chain(leaf: Any, authority: list[Any]) -> None:
    """Demand that the authority gave this certificate, at a time when its own were valid.

    Raises:
        AttestationError: nobody whom we trust did.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - heavy

    at, certificate = leaf.not_valid_before_utc, leaf
    for _ in range(len(authority)):
        for issuer in authority:
            try:
                certificate.verify_directly_issued_by(issuer)
            except (InvalidSignature, ValueError, TypeError):
                continue
            if not _may_issue(issuer, at):
                continue
            if issuer.subject == issuer.issuer:
                return
            certificate = issuer
            break
        else:
            break
    raise AttestationError("the certificate is not from the configured authority")


def _may_issue(issuer: Any, at: Any) -> bool:
    from cryptography import x509  # noqa: PLC0415 - heavy

    constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    return bool(constraints.ca) and issuer.not_valid_before_utc <= at <= issuer.not_valid_after_utc


def _signer(leaf: Any) -> str:
    """The workflow that the certificate was given to.

    Raises:
        AttestationError: it is no certificate of a GitHub workflow for signing.
    """
    from cryptography import x509  # noqa: PLC0415 - heavy
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415 - heavy

    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuer = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(_ISSUER_EXTENSION)).value.value
    except x509.ExtensionNotFound as error:
        raise AttestationError("the certificate does not say whom it was given to") from error
    addresses = names.get_values_for_type(x509.UniformResourceIdentifier)
    if ExtendedKeyUsageOID.CODE_SIGNING not in usage or len(addresses) != 1:
        raise AttestationError("the certificate is not for one signer")
    # A DER UTF8String: tag, length, text.
    if issuer[:1] != b"\x0c" or issuer[2:] != _ISSUER.encode() or issuer[1] != len(_ISSUER):
        raise AttestationError("the signer's identity is not from GitHub Actions")
    return str(addresses[0])
