"""GitHub's record of who signs in with which account: the organisation's single sign-on is Entra ID.

https://docs.github.com/graphql/reference/objects#organizationidentityprovider, answered by the GraphQL endpoint.
"""

from typing import Any

from local.vendors.entra.directory import Directory, object_id
from local.vendors.kernel import Kernel, Vendor

SUFFIX = "-at-contoso"  # an account's login is its owner's own choice; here it is the name with this
CLAIM = "http://schemas.microsoft.com/identity/claims/objectidentifier"


class Provider:
    """What ``samlIdentityProvider`` shows; a member that takes arguments is a function, as graphql-core calls it."""

    def __init__(self, kernel: Kernel) -> None:
        self._store = kernel.store("entra")

    def identities(self, _: object, first: int, login: str = "") -> dict[str, Any]:
        people = [name for name in Directory(self._store).people if login.lower() in {"", f"{name}{SUFFIX}"}]
        return {"nodes": [self._identity(name) for name in people[:first]]}

    @staticmethod
    def _identity(name: str) -> dict[str, Any]:
        attributes = [{"name": CLAIM, "value": object_id(name)}]
        saml = {"nameId": f"{name}@contoso.com", "attributes": attributes}
        return {"user": {"login": f"{name}{SUFFIX}"}, "samlIdentity": saml}


def build(kernel: Kernel) -> Vendor:
    return Vendor("github_saml", (), [], public=Provider(kernel))
