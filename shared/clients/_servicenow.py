"""ServiceNow: settings, sign-in and the one vendor of its clients.

Documentation: https://www.servicenow.com/docs/r/api-reference/rest-apis/api-rest.html
"""

import asyncio
import time
from dataclasses import dataclass, field

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from shared.clients._http import Call, Vendor
from shared.clients.key_vault import read_secret
from shared.models import Model
from shared.per_loop import per_loop
from shared.settings import Settings, load

_EARLY = 60.0


class ServiceNowSettings(Settings):
    """ServiceNow. Without an instance the App Store keeps no records there."""

    model_config = SettingsConfigDict(env_prefix="SERVICENOW_", frozen=True, extra="ignore")

    instance: str = Field(default="", description="Name of the instance (`<name>.service-now.com`); empty: not used.")
    client_id: str = Field(
        default="", validate_default=True, description="OAuth client of the App Store at the instance."
    )
    key_vault: str = Field(
        default="",
        validate_default=True,
        description="Address of the Key Vault that holds the OAuth client's secret.",
    )
    client_secret_name: str = Field(default="servicenow-client-secret", description="Name of that secret.")
    change_template: str = Field(
        default="", description="sys_id of a standard change template; empty: normal changes, approved at the instance."
    )
    assignment_group: str = Field(default="", description="Assignment group of changes; empty: the instance's rules.")
    service_class: str = Field(default="cmdb_ci_service_auto", description="CMDB class of an application.")
    data_source: str = Field(default="Other Automated", description="Discovery source given to the CMDB.")

    @field_validator("client_id", "key_vault")
    @classmethod
    def _with_an_instance(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("instance") and not value:
            raise ValueError("needed together with SERVICENOW_INSTANCE")
        return value


class _Token(Model):
    access_token: str
    expires_in: float


@dataclass
class _Cached:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    token: str = ""
    good_until: float = 0.0


@per_loop
def _cached() -> _Cached:
    return _Cached()


def base() -> str:
    """The instance's address."""
    return f"https://{load(ServiceNowSettings).instance}.service-now.com"


async def _anonymous() -> dict[str, str]:
    return {}


async def _authorise() -> dict[str, str]:
    """Documentation: https://www.servicenow.com/docs/r/platform-security/authentication/client-credentials.html."""
    settings, cached = load(ServiceNowSettings), _cached()
    async with cached.lock:
        if time.monotonic() >= cached.good_until:
            secret = await read_secret(settings.key_vault, settings.client_secret_name)
            form = {"grant_type": "client_credentials", "client_id": settings.client_id, "client_secret": secret}
            call = Call("get token", "POST", "/oauth_token.do", form=form)
            token = await Vendor("servicenow", base(), _anonymous).read(call, _Token)
            cached.token, cached.good_until = token.access_token, time.monotonic() + token.expires_in - _EARLY
    return {"Authorization": f"Bearer {cached.token}", "Accept": "application/json"}


def vendor() -> Vendor:
    """The instance's API."""
    return Vendor("servicenow", base(), _authorise)
