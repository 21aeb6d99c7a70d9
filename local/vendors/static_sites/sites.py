"""Published files, and the rules of staticwebapp.config.json by which they are answered."""

import asyncio
import fnmatch
import json
import mimetypes
import secrets
import shutil
from pathlib import Path
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel

CONFIGURATION = "staticwebapp.config.json"
LARGEST = {"Free": 250 * 2**20, "Standard": 500 * 2**20}


class Refused(Exception):  # noqa: N818 -- what the deployment prints, not an error of the stand-in
    """A publication fails with this text."""


class Sites:
    """The content of every site that Resource Manager knows."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("static_sites")
        self._root = kernel.data_dir / "static_sites"

    def token(self, site: str) -> str:
        """The deployment token of a site; made when it is first asked for."""
        place = f"token/{site.lower()}"
        with self._store.transaction():
            token: str | None = self._store.get(place)
            if token is None:
                token = secrets.token_hex(40)
                self._store.put(place, token)
                self._store.put(f"site/{token}", site)
        return token

    async def publish(self, token: str, folder: Path) -> str:
        """Put a folder's files in the place of those that are there; returns the site's host name.

        Raises:
            Refused: no site has this token, or the files are no site.
        """
        site = self._kernel.vendor("arm").resource(self._store.get(f"site/{token}") or "")
        if site is None:
            raise Refused("The content server has rejected the request with: BadRequest. No matching Static Web App")
        await asyncio.to_thread(self._replace, site, folder)
        return str(site["properties"]["defaultHostname"])

    def _replace(self, site: dict[str, Any], folder: Path) -> None:
        if not (folder / "index.html").is_file():
            raise Refused(f"Failed to find a default file in the app artifacts folder ({folder.name}).")
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if size > LARGEST[site["sku"]["name"]]:
            raise Refused("The size of the app content was too large for this Static Web App.")
        _configuration(folder)
        target, draft = self._root / site["name"], self._root / f"{site['name']}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(folder, draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)

    async def answer(self, request: web.Request, host: str) -> web.StreamResponse:
        """A file of the site that has this host name, or of the one whose custom domain it is."""
        site = self._site(host)
        if site is None:
            return web.Response(status=404, text="Azure Static Web Apps - 404: Not found")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405)
        root = self._root / site["name"]
        if not root.is_dir():
            return web.Response(text="Congratulations on your new site!", content_type="text/html")
        return await asyncio.to_thread(_page, root, request.path)

    def _site(self, host: str) -> dict[str, Any] | None:
        arm = self._kernel.vendor("arm")
        for site in arm.resources(kind="Microsoft.Web/staticSites"):
            domains = arm.resources(site["id"], "Microsoft.Web/staticSites/customDomains")
            if host == site["properties"]["defaultHostname"] or host in [domain["name"] for domain in domains]:
                return dict(site)
        return None


def _configuration(root: Path) -> dict[str, Any]:
    file = root / CONFIGURATION
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
    except ValueError as error:
        raise Refused(f"Encountered an issue while validating {CONFIGURATION}: {error}") from error


def _page(root: Path, path: str) -> web.Response:
    rules = _configuration(root)
    fallback, status = rules.get("navigationFallback", {}), 200
    file = _file(root, path)
    if file is None and fallback and not any(fnmatch.fnmatch(path, item) for item in fallback.get("exclude", [])):
        file = _file(root, fallback["rewrite"])
    if file is None:
        status, file = 404, _file(root, rules.get("responseOverrides", {}).get("404", {}).get("rewrite", "/404.html"))
    headers = dict(rules.get("globalHeaders", {}))
    for route in rules.get("routes", []):
        if fnmatch.fnmatch(path, route["route"]):
            headers |= route.get("headers", {})
            break
    kind = mimetypes.guess_type(file.name)[0] if file else "text/plain"
    body = file.read_bytes() if file else b"Azure Static Web Apps - 404: Not found"
    return web.Response(status=status, body=body, headers=headers, content_type=kind or "application/octet-stream")


def _file(root: Path, path: str) -> Path | None:
    """The file of a path below the root; never the configuration, which is not served."""
    wanted = (root / path.lstrip("/")).resolve()
    wanted = wanted / "index.html" if wanted.is_dir() else wanted
    inside = wanted.is_relative_to(root.resolve()) and wanted.name != CONFIGURATION
    return wanted if inside and wanted.is_file() else None
