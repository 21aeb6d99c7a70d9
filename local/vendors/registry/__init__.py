"""Stand-in for Azure Container Registry: builds an image from a context, keeps it under its digest.

https://specs.opencontainers.org/distribution-spec/ (manifests and blobs, reading only)
"""

import asyncio
import hashlib
import io
import json
import secrets
import shutil
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .dockerfile import BuildError, Image
from .dockerfile import build as build_image

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
WRITER, READER = "Container Registry Repository Writer", "Container Registry Repository Reader"
REQUIREMENTS_LABEL = "local.requirements"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["REQUIREMENTS_LABEL", "BuildError", "Registry", "build"]


class Registry:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("registry")
        self._blobs = kernel.data_dir / "registry" / "blobs"

    async def push(self, repository: str, tag: str, context: Path, dockerfile: Path) -> str:
        """Build and keep an image; the digest depends on nothing but its content.

        Raises:
            BuildError: the registry does not exist, or the image cannot be built.
        """
        self._registry_id(repository.partition("/")[0])
        digest = await asyncio.to_thread(self._build, context, dockerfile)
        return self._named(repository, tag, digest)

    def _named(self, repository: str, tag: str, digest: str) -> str:
        with self._store.transaction():
            self._store.put(f"image/{repository}/{digest}", {})
            self._store.put(f"tag/{repository}:{tag}", digest)
        return digest

    def require_writer(self, repository: str, refresh_token: str) -> None:
        """Demand that whoever signed in may push to a repository: the role, and its condition on the name.

        Raises:
            BuildError: nobody signed in, or the principal may not push here; in the registry's words.
        """
        if not self._may(WRITER, repository, refresh_token):
            raise BuildError(f"failed to push: denied: requested access to the resource is denied ({repository})")

    def _may(self, role: str, repository: str, refresh_token: str) -> bool:
        server, _, name = repository.partition("/")
        principal = self._store.get(f"refresh/{refresh_token}")
        assignments = self._kernel.vendor("arm").assignments(principal, role, self._registry_id(server))
        conditions = [item["properties"].get("condition", "") for item in assignments]
        return any(f"repositories:name] StringEqualsIgnoreCase '{name}'" in text for text in conditions)

    async def exchange(self, request: web.Request) -> web.Response:
        """An Entra token for a refresh token of this registry."""
        form = await request.post()
        try:
            claims = self._kernel.vendor("entra").verify(str(form["access_token"]))
        except (KeyError, ValueError):
            return _unknown("UNAUTHORIZED", "authentication required", 401)
        token = secrets.token_urlsafe(32)
        self._store.put(f"refresh/{token}", claims["oid"])
        return web.json_response({"refresh_token": token})

    def config(self, repository: str, digest: str) -> dict[str, Any] | None:
        """The configuration of an image (Cmd, Env, WorkingDir, Labels), or None when there is no such image."""
        if self._store.get(f"image/{repository}/{digest}") is None:
            return None
        manifest = json.loads(self._blob(digest).read_bytes())
        config: dict[str, Any] = json.loads(self._blob(manifest["config"]["digest"]).read_bytes())["config"]
        return config

    def extract(self, digest: str, target: Path) -> None:
        """Unpack an image's files, unless they are there."""
        if target.exists():
            return
        manifest = json.loads(self._blob(digest).read_bytes())
        draft = target.with_name(f"{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        with tarfile.open(self._blob(manifest["layers"][0]["digest"])) as layer:
            layer.extractall(draft, filter="data")
        draft.rename(target)

    async def version(self, _request: web.Request) -> web.Response:
        return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    def guarded(self, role: str, handler: Handler) -> Handler:
        """A handler for those who hold the role for the repository; whoever may write may read."""

        async def answer(request: web.Request) -> web.StreamResponse:
            repository = f"{request.host}/{request.match_info['name']}"
            if not (token := request.headers.get("Authorization", "").removeprefix("Bearer ")):
                return _unknown("UNAUTHORIZED", "authentication required", 401)
            if not any(self._may(each, repository, token) for each in {role, WRITER}):
                return _unknown("DENIED", f"requested access to the resource is denied ({repository})", 403)
            return await handler(request)

        return answer

    async def upload(self, request: web.Request) -> web.Response:
        """A blob in one request (https://specs.opencontainers.org/distribution-spec/#post-then-put)."""
        data = await request.read()
        if request.query.get("digest") != self._keep(data):
            return _unknown("DIGEST_INVALID", "provided digest did not match uploaded content", 400)
        return web.Response(status=201, headers={"Docker-Content-Digest": request.query["digest"]})

    async def put_manifest(self, request: web.Request) -> web.Response:
        data, repository = await request.read(), f"{request.host}/{request.match_info['name']}"
        document = json.loads(data)
        missing = [p for p in (document["config"], *document["layers"]) if not self._blob(p["digest"]).is_file()]
        if missing:
            return _unknown("MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {missing[0]['digest']}", 400)
        digest = self._named(repository, request.match_info["reference"], self._keep(data))
        return web.Response(status=201, headers={"Docker-Content-Digest": digest})

    async def manifest(self, request: web.Request) -> web.Response:
        """A manifest by tag or digest."""
        repository = f"{request.host}/{request.match_info['name']}"
        reference = request.match_info["reference"]
        digest = reference if ":" in reference else self._store.get(f"tag/{repository}:{reference}")
        if not digest or self._store.get(f"image/{repository}/{digest}") is None:
            return _unknown("MANIFEST_UNKNOWN", f"manifest tagged by {reference!r} is not found")
        headers = {"Docker-Content-Digest": digest}
        return web.Response(body=self._blob(digest).read_bytes(), content_type=MANIFEST, headers=headers)

    async def blob(self, request: web.Request) -> web.StreamResponse:
        file = self._blob(request.match_info["digest"])
        return web.FileResponse(file) if file.is_file() else _unknown("BLOB_UNKNOWN", "blob unknown to registry")

    def _registry_id(self, server: str) -> str:
        kind = "Microsoft.ContainerRegistry/registries"
        for item in self._kernel.vendor("arm").resources(kind=kind):
            if item["properties"]["loginServer"] == server:
                return str(item["id"])
        raise BuildError(f"failed to push: dial tcp: lookup {server}: no such host")

    def _build(self, context: Path, dockerfile: Path) -> str:
        image = build_image(context, dockerfile)
        config = {"architecture": "amd64", "os": "linux", "config": _configuration(image)}
        parts = [(CONFIG, _canonical(config)), (LAYER, _layer(image.files))]
        described = [{"mediaType": kind, "digest": self._keep(data), "size": len(data)} for kind, data in parts]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
        return self._keep(_canonical(manifest))

    def _keep(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._blob(digest).write_bytes(data)
        return digest

    def _blob(self, digest: str) -> Path:
        return self._blobs / Path(digest.replace(":", "-")).name


def _configuration(image: Image) -> dict[str, Any]:
    return {
        "Env": [f"{name}={value}" for name, value in image.env.items()],
        "Cmd": image.command,
        "WorkingDir": image.directory,
        "User": image.user,
        "ExposedPorts": {f"{port.partition('/')[0]}/tcp": {} for port in image.ports},
        "Labels": {REQUIREMENTS_LABEL: json.dumps(image.requirements)},
    }


def _layer(files: dict[str, Path]) -> bytes:
    """A tar without anything that differs between two equal contexts: no times, no owners, sorted."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as layer:
        for name, file in sorted(files.items()):
            data, entry = file.read_bytes(), tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(data), 0o755 if file.stat().st_mode & 0o100 else 0o644
            layer.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _unknown(code: str, message: str, status: int = 404) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status)


def build(kernel: Kernel) -> Vendor:
    registry = Registry(kernel)
    routes = [
        web.get("/v2/", registry.version),
        web.post("/oauth2/exchange", registry.exchange),
        web.get("/v2/{name:.+}/manifests/{reference}", registry.guarded(READER, registry.manifest)),
        web.put("/v2/{name:.+}/manifests/{reference}", registry.guarded(WRITER, registry.put_manifest)),
        web.post("/v2/{name:.+}/blobs/uploads/", registry.guarded(WRITER, registry.upload)),
        web.get("/v2/{name:.+}/blobs/{digest}", registry.guarded(READER, registry.blob)),
    ]
    return Vendor("registry", ("*.azurecr.io",), routes, public=registry)
