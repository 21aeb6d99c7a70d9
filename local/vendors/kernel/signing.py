"""A persistent RS256 key, for stand-ins that issue tokens."""

from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .store import Store


class SigningKey:
    """Signs tokens with a key that is made on first use and kept in the stand-in's store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded: tuple[str, rsa.RSAPrivateKey] | None = None

    def sign(self, claims: dict[str, Any]) -> str:
        """A signed token with these claims."""
        identifier, key = self._key()
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": identifier})

    def public(self) -> rsa.RSAPublicKey:
        return self._key()[1].public_key()

    def key_set(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        identifier, key = self._key()
        document = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {"keys": [{**document, "use": "sig", "alg": "RS256", "kid": identifier}]}

    def _key(self) -> tuple[str, rsa.RSAPrivateKey]:
        kept = self._store.get("signing-key") or self._make()
        # A reset of the stand-ins removes the document: then the key in memory is void as well.
        if self._loaded is None or self._loaded[0] != kept["kid"]:
            key = serialization.load_pem_private_key(kept["private"].encode(), password=None)
            if not isinstance(key, rsa.RSAPrivateKey):
                raise TypeError("the signing key is not an RSA key")
            self._loaded = kept["kid"], key
        return self._loaded

    def _make(self) -> dict[str, str]:
        pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        made = {"kid": uuid4().hex, "private": pem.decode()}
        self._store.put("signing-key", made)
        return made
