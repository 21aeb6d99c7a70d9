"""Passwords of applications: Microsoft Graph makes and removes them, the token endpoint asks for them."""

import secrets
from datetime import UTC, datetime, timedelta

from local.vendors.kernel import Store


def let_in(store: Store, client_id: str, text: str) -> bool | None:
    """Whether a password of an application works now; None when nobody has this client id.

    A new one is known everywhere after `settings/password-seconds` only.
    """
    seconds = store.get("settings/password-seconds") or 0
    for _, found in store.list("applications/"):
        if found["appId"] == client_id:
            now = datetime.now(UTC)
            return any(
                secrets.compare_digest(one["secretText"], text)
                and datetime.fromisoformat(one["startDateTime"]) + timedelta(seconds=seconds) <= now
                and now < datetime.fromisoformat(one["endDateTime"])
                for one in found["passwordCredentials"]
            )
    return None
