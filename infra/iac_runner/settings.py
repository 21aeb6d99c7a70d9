"""What the runner takes from the environment of the pipeline."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .problems import RunRefusedError

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Settings of one run.

    Attributes:
        terraform: the Terraform command (``IAC_TERRAFORM``, else ``terraform`` on PATH).
        terraform_cli_config: CLI configuration file for a provider mirror; by default an empty one.
        root: folder that holds ``stacks/`` and ``modules/`` (``IAC_ROOT``, else next to this package).
        account: storage account of states and plans (``IAC_STATE_ACCOUNT``).
        state_container: container of the states (``IAC_STATE_CONTAINER``).
        plans_container: container of plans and results (``IAC_PLANS_CONTAINER``).
        blob_endpoint: address of the account's blobs (``IAC_BLOB_ENDPOINT``, for sovereign clouds).
        backend_authentication: ``oidc``, ``msi`` or ``access-key`` (``IAC_BACKEND_AUTH``): how Terraform's azurerm
            backend signs in. ``access-key`` reads ``ARM_ACCESS_KEY`` and is meant for storage emulators.
        backend_config: lines ``name=value`` that replace the azurerm backend's (``IAC_BACKEND_CONFIG``).
        lock_timeout: how long a plan or apply waits for the state lock (``IAC_LOCK_TIMEOUT``).
        drift_lock_timeout: the same for a drift check, which must not stand in anybody's way.
    """

    terraform: str
    terraform_cli_config: str | None
    root: Path
    account: str
    state_container: str
    plans_container: str
    blob_endpoint: str
    backend_authentication: str
    backend_config: tuple[str, ...]
    lock_timeout: str
    drift_lock_timeout: str


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        RunRefusedError: a variable is missing or has a value nobody knows; it names the variable.
    """
    account = environment.get("IAC_STATE_ACCOUNT", "")
    if not account:
        raise RunRefusedError("Configuration", "IAC_STATE_ACCOUNT is missing: the storage account of states and plans.")
    authentication = environment.get("IAC_BACKEND_AUTH", "oidc")
    if authentication not in {"oidc", "msi", "access-key"}:
        raise RunRefusedError("Configuration", "IAC_BACKEND_AUTH must be oidc, msi or access-key.")
    return Settings(
        terraform=_find_terraform(environment),
        terraform_cli_config=environment.get("IAC_TERRAFORM_CLI_CONFIG"),
        root=Path(environment.get("IAC_ROOT", _ROOT)),
        account=account,
        state_container=environment.get("IAC_STATE_CONTAINER", "tfstate"),
        plans_container=environment.get("IAC_PLANS_CONTAINER", "plans"),
        blob_endpoint=environment.get("IAC_BLOB_ENDPOINT", f"https://{account}.blob.core.windows.net").rstrip("/"),
        backend_authentication=authentication,
        backend_config=tuple(filter(None, environment.get("IAC_BACKEND_CONFIG", "").splitlines())),
        lock_timeout=environment.get("IAC_LOCK_TIMEOUT", "300s"),
        drift_lock_timeout=environment.get("IAC_DRIFT_LOCK_TIMEOUT", "20s"),
    )


def _find_terraform(environment: Mapping[str, str]) -> str:
    wanted = environment.get("IAC_TERRAFORM", "terraform")
    found = shutil.which(wanted, path=environment.get("PATH"))
    if found is None:
        raise RunRefusedError(
            "Configuration", f"No Terraform: {wanted!r} is not on PATH (IAC_TERRAFORM names another)."
        )
    return found
