"""The private certificate authority of a local run, and one certificate per host name it is asked for."""

import contextlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
LEAF_DAYS = 365
RENEW_BEFORE = timedelta(days=30)


class CertificateAuthority:
    """A certificate authority in a folder, created on first use; several processes may open the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._leaves = folder / "leaves"
        self._leaves.mkdir(parents=True, exist_ok=True)
        self._contexts: dict[str, ssl.SSLContext] = {}
        authority = folder / "authority.pem"
        if not authority.exists():
            _publish(authority, _new_authority(), replace=False)
        pem = authority.read_bytes()
        self._key = _private_key(pem)
        self._certificate = x509.load_pem_x509_certificate(pem)
        self._public_pem = self._certificate.public_bytes(serialization.Encoding.PEM)
        self.certificate_file = folder / "ca.pem"
        self.bundle = folder / "bundle.pem"
        _write_if_changed(self.certificate_file, self._public_pem)
        _write_if_changed(self.bundle, self._public_pem + Path(certifi.where()).read_bytes() + self._of_the_machine())

    def _of_the_machine(self) -> bytes:
        """What this machine trusts besides: package registries may be reached through a proxy of its own."""
        named = Path(os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().openssl_cafile)
        usual = Path("/etc/ssl/certs/ca-certificates.crt")
        files = [file for file in dict.fromkeys((named, usual)) if file.is_file() and file.name != self.bundle.name]
        return b"\n".join(file.read_bytes() for file in files)

    def leaf(self, host: str) -> Path:
        """The file with key and certificate chain for a host name or IP address, issued again before it expires."""
        file = self._leaves / f"{host.replace('*', '_').replace(':', '_')}.pem"
        if not self._usable(file):
            _publish(file, self._issue(host), replace=True)
        return file

    def server_context(self, host: str) -> ssl.SSLContext:
        """A server context that shows the certificate of `host`, or the one of the name the client asks for (SNI)."""
        context = self._context(host)
        context.sni_callback = self._choose
        return context

    def client_context(self) -> ssl.SSLContext:
        """A client context that trusts this authority only."""
        return ssl.create_default_context(cafile=str(self.certificate_file))

    def _choose(self, connection: ssl.SSLObject, server_name: str | None, _: ssl.SSLContext) -> None:
        if server_name:
            connection.context = self._context(server_name.lower())

    def _context(self, host: str) -> ssl.SSLContext:
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(self.leaf(host))
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[host] = context
        return self._contexts[host]

    def _usable(self, file: Path) -> bool:
        if not file.exists():
            return False
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        return certificate.not_valid_after_utc > datetime.now(UTC) + RENEW_BEFORE

    def _issue(self, host: str) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            _builder(host, self._certificate.subject, key.public_key(), LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(x509.SubjectAlternativeName(_alternative_names(host)), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key()),  # type: ignore[arg-type]
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return _private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM) + self._public_pem


def _alternative_names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    with contextlib.suppress(ValueError):
        names.append(x509.IPAddress(ip_address(host)))
    if host in {"localhost", "127.0.0.1"}:
        return [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1"))]
    return names or [x509.DNSName(host)]


def _builder(name: str, issuer: x509.Name | None, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    # An X.509 common name holds 64 characters; the alternative name carries the whole host.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _new_authority() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder("App Store local run authority", None, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve key: remove its folder to make a new one")
    return key


def _publish(file: Path, content: bytes, *, replace: bool) -> None:
    """Write a private file so that others see nothing or all of it; the first writer wins unless `replace`."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
    if replace:
        draft.replace(file)
        return
    with contextlib.suppress(FileExistsError):
        file.hardlink_to(draft)
    draft.unlink()


def _write_if_changed(file: Path, content: bytes) -> None:
    if not file.exists() or file.read_bytes() != content:
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.write_bytes(content)
        draft.replace(file)
