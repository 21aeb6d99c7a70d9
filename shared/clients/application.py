"""The application itself, as its users reach it."""

from shared.clients._http import Call, Vendor
from shared.errors import PermanentIntegrationError, TransientIntegrationError
from shared.models import Model


class Health(Model):
    """Answer of a generated application's health path."""

    status: str
    application: str
    version: str
    digest: str = ""  # applications of older archetype versions do not say it


async def _anonymous() -> dict[str, str]:
    return {}


async def read_health(host: str, path: str = "/health") -> Health:
    """Ask an application for its health under its DNS name.

    Raises:
        TransientIntegrationError: no answer, or not the answer of one of our applications.
    """
    vendor = Vendor("application", f"https://{host}", _anonymous, traced=True)
    try:
        return await vendor.read(Call("read health", "GET", path), Health)
    except PermanentIntegrationError as error:  # 404 is the ingress controller's answer before it knows the host
        raise TransientIntegrationError(error.call, error.detail) from error
