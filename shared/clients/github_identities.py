"""Who a GitHub account is in Entra ID: the identity that the organisation's single sign-on has linked to it.

Documentation: https://docs.github.com/graphql/reference/objects#externalidentity and, for what Entra ID sends,
https://learn.microsoft.com/entra/identity-platform/reference-saml-tokens
"""

from shared.clients._github import GITHUB, owner
from shared.clients._graphql import ask
from shared.clients._http import Vendor
from shared.models import Model

OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_API = Vendor("github_identities", GITHUB.base_url, GITHUB.authorise)
_FIND = """
query FindIdentity($owner: String!, $login: String!) {
  organization(login: $owner) {
    samlIdentityProvider {
      externalIdentities(first: 10, login: $login) {
        nodes { user { login } samlIdentity { attributes { name value } } }
      }
    }
  }
}
"""


class _User(Model):
    login: str


class _Attribute(Model):
    name: str
    value: str


class _Saml(Model):
    attributes: list[_Attribute] = []


class _Identity(Model):
    user: _User | None = None
    saml_identity: _Saml | None = None


class _Identities(Model):
    nodes: list[_Identity]


class _Provider(Model):
    external_identities: _Identities


class _Organization(Model):
    saml_identity_provider: _Provider | None = None


class _Found(Model):
    organization: _Organization


async def find_object_id(login: str) -> str | None:
    """Object id in Entra ID of who signs in with this account; None when nobody is known to.

    An organisation without single sign-on of its own, or with that of its enterprise, knows nobody. The GitHub App
    needs `members: read`.
    """
    body = {"query": _FIND, "variables": {"owner": owner(), "login": login}}
    found = await ask(_API, "find identity", body, _Found)
    provider = found.organization.saml_identity_provider
    for identity in provider.external_identities.nodes if provider else []:
        same = identity.user is not None and identity.user.login.lower() == login.lower()
        if same and identity.saml_identity is not None:
            named = (item.value for item in identity.saml_identity.attributes if item.name == OBJECT_ID)
            return next(named, None)
    return None
