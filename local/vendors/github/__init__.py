"""The GitHub stand-in: api.github.com and github.com for one organisation."""

import os
from pathlib import Path
from typing import Any

from aiohttp import web

from local.vendors.github import environments, git_data, pulls, refs, repositories, runs  # noqa: F401 - register
from local.vendors.github.calls import routes
from local.vendors.github.hosting import Hosting
from local.vendors.github.repository import Repository
from local.vendors.kernel import Kernel, Vendor


class GitHub:
    """What other stand-ins may ask GitHub in this process."""

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting
        self.repository = hosting.repository
        self.revoke_token = hosting.tokens.revoke
        self.repositories = hosting.repositories
        self.guard = hosting.tokens.guard

    def oidc_keys(self) -> Any:
        """The key set (JWKS) that signs the tokens of workflow jobs."""
        return self._hosting.kernel.vendor("actions").oidc_keys()

    def job_token(self, repository: Repository) -> str:
        """A GITHUB_TOKEN: one repository, until the job is over."""
        return str(self._hosting.tokens.issue("github-actions[bot]", [repository.name], {}, hours=24)["token"])

    def next_number(self, repository: Repository) -> int:
        """The next number of the repository: issues and pull requests share them."""
        return self._hosting.next_id(f"pulls/{repository.id}")

    def has_pull(self, repository: Repository, number: int) -> bool:
        return self._hosting.store.get(f"of/{repository.id}/pulls/{number:08}") is not None

    def variables(self, repository: Repository, environment: str = "") -> dict[str, str]:
        """The variables of a repository or of one of its environments."""
        found = self._hosting.store.list(f"of/{repository.id}/variables/{environment}/")
        return {variable["name"]: variable["value"] for _, variable in found}


def build(kernel: Kernel) -> Vendor:
    hosting = Hosting(kernel)
    tokens = hosting.tokens

    async def start() -> None:
        key_vault = kernel.vendor("key_vault")
        key_vault.seed_secret("kv-appstore", "github-app-key", tokens.private_key())
        if folder := os.environ.get("APPSTORE_INFRASTRUCTURE_DIR"):
            await hosting.seed(Path(folder))

    app = [
        web.get("/app", tokens.guard(tokens.get_app)),
        web.post("/app/installations/{installation_id}/access_tokens", tokens.guard(tokens.create)),
    ]
    served = hosting.git_routes() + app + routes(hosting)
    return Vendor("github", ("api.github.com", "github.com"), served, GitHub(hosting), start)
