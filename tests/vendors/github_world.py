import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from local.vendors import github, github_issues
from local.vendors.github.tokens import INSTALLATION_ID
from local.vendors.kernel import Kernel, Vendor

REPO = "/repos/contoso/payments-api"


class KeyVault:
    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def seed_secret(self, vault: str, name: str, value: str) -> None:
        self.secrets.setdefault(f"{vault}/{name}", value)


class Actions:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    async def event(self, repository: Any, name: str, ref: str, sha: str, event: Any, *, actor: str) -> None:
        del repository, event, actor
        self.events.append((name, ref, sha))


class World:
    """The GitHub stand-in behind the real kernel, and a client that reaches it under its real name."""

    def __init__(self, root: Path) -> None:
        self.kernel = Kernel(root)
        self.key_vault, self.actions = KeyVault(), Actions()
        self.headers: dict[str, str] = {}

    def others(self) -> list[Vendor]:
        return [Vendor("actions", (), [], self.actions)]

    async def start(self) -> None:
        key_vault = Vendor("key_vault", (), [], self.key_vault)
        issues = github_issues.build(self.kernel)
        await self.kernel.start([key_vault, github.build(self.kernel), issues, *self.others()])
        self.session = aiohttp.ClientSession()
        answer = await self.call("POST", f"/app/installations/{INSTALLATION_ID}/access_tokens", token=self.assertion())
        self.token = answer["token"]

    async def stop(self) -> None:
        await self.session.close()
        await self.kernel.stop()

    def assertion(self, **changes: Any) -> str:
        claims = {"iat": int(time.time()) - 60, "exp": int(time.time()) + 540, "iss": "1001"} | changes
        return jwt.encode(claims, self.key_vault.secrets["kv-appstore/github-app-key"], "RS256")

    async def call(self, method: str, path: str, body: Any = None, *, status: int = 0, token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        tls, proxy = self.kernel.authority.client_context(), self.kernel.proxy_url
        url = f"https://api.github.com{path}"
        options: Any = {"proxy": proxy, "ssl": tls, "allow_redirects": False}
        async with self.session.request(method, url, json=body, headers=headers, **options) as response:
            self.headers = dict(response.headers)
            answer = await response.json() if response.status not in {204, 302} else None
            assert response.status == status or (not status and response.status < 300), (response.status, answer)
            return answer

    async def create(self, name: str = "payments-api", **more: Any) -> Any:
        wanted = {"name": name, "auto_init": True, "visibility": "internal", **more}
        return await self.call("POST", "/orgs/contoso/repos", wanted, status=201)

    async def commit(self, files: dict[str, str], branch: str = "main", message: str = "change") -> str:
        """One commit through the git data API, the way the product pushes."""
        head = (await self.call("GET", f"{REPO}/git/ref/heads/main"))["object"]["sha"]
        entries = [{"path": path, "mode": "100644", "type": "blob", "content": text} for path, text in files.items()]
        tree = await self.call("POST", f"{REPO}/git/trees", {"base_tree": head, "tree": entries}, status=201)
        wanted = {"message": message, "tree": tree["sha"], "parents": [head]}
        sha: str = (await self.call("POST", f"{REPO}/git/commits", wanted, status=201))["sha"]
        if branch == "main":
            await self.call("PATCH", f"{REPO}/git/refs/heads/main", {"sha": sha})
        else:
            await self.call("POST", f"{REPO}/git/refs", {"ref": f"refs/heads/{branch}", "sha": sha}, status=201)
        return sha

    async def git(self, *arguments: str, folder: Path) -> str:
        environment = self.kernel.child_environment() | {"GIT_TERMINAL_PROMPT": "0", "HOME": str(folder)}
        who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        run = asyncio.to_thread(
            subprocess.run, ["git", *who, *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
        done = await run
        assert done.returncode == 0, done.stderr
        return str(done.stdout)
