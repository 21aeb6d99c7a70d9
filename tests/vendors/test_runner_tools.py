"""`az`, `docker` and `skopeo` of the runner: they sign in, and believe a digest only when the bytes have it."""

import asyncio
import base64
import hashlib
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from local.vendors import runner_tools
from local.vendors.kernel import Kernel, Vendor

type Handler = Callable[[web.Request], Awaitable[web.Response]]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def signed_in(work: Handler) -> Handler:
    """A call with the token that this very registry has given."""

    async def guarded(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer refresh of {request.host}":
            return web.Response(status=401, text="authentication required")
        return await work(request)

    return guarded


class Registries:
    """Two registries and a site, as the programs see them: everything is kept by its digest."""

    def __init__(self) -> None:
        self.content: dict[tuple[str, str], bytes] = {}
        self.routes = [
            web.post("/oauth2/exchange", self._exchange),
            web.get("/v2/{name:.+}/{kind:manifests|blobs}/{reference}", signed_in(self._get)),
            web.post("/v2/{name:.+}/blobs/uploads/", signed_in(self._upload)),
            web.put("/v2/{name:.+}/manifests/{reference}", signed_in(self._put)),
        ]

    async def _exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form["access_token"] != "good":  # noqa: S105 - a test
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        service = str(form["service"])
        return web.json_response({"refresh_token": f"refresh of {service}"})

    async def _get(self, request: web.Request) -> web.Response:
        found = self.content.get((request.host, request.match_info["reference"]))
        return web.Response(status=404, text="unknown") if found is None else web.Response(body=found)

    async def _upload(self, request: web.Request) -> web.Response:
        self.content[request.host, request.query["digest"]] = await request.read()
        return web.Response(status=201)

    async def _put(self, request: web.Request) -> web.Response:
        self.content[request.host, request.match_info["reference"]] = await request.read()
        return web.Response(status=201)

    def image(self, host: str, **files: str) -> str:
        """Put an image there; returns its digest."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(f"site/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        layer, config = packed.getvalue(), b"{}"
        parts = {"config": {"digest": digest_of(config)}, "layers": [{"digest": digest_of(layer)}]}
        manifest = json.dumps(parts).encode()
        for content in (layer, config, manifest):
            self.content[host, digest_of(content)] = content
        return digest_of(manifest)


class Runner:
    """A job's home, and the programs on its PATH."""

    def __init__(self, kernel: Kernel, registries: Registries, home: Path) -> None:
        self.kernel, self.registries, self.home = kernel, registries, home
        runner_tools.install(home / "tools", home / "attestations.pem")

    async def run(self, *command: str) -> tuple[int, str]:
        more = {"HOME": str(self.home), "PATH": os.environ["PATH"], "RUNNER_TEMP": str(self.home / "temp")}
        program, pipe = str(self.home / "tools" / command[0]), asyncio.subprocess.PIPE
        environment = self.kernel.child_environment() | more
        process = await asyncio.create_subprocess_exec(program, *command[1:], stdout=pipe, stderr=pipe, env=environment)
        out, error = await process.communicate()
        return process.returncode or 0, (out + error).decode()

    def sign_in(self, token: str = "good") -> None:  # noqa: S107 - a test
        """What azure/login leaves."""
        file = self.home / ".azure" / "session.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"access_token": token, "subscription": "s"}))


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[Runner]:
    kernel, registries = Kernel(tmp_path / "vendors"), Registries()
    home = tmp_path / "home"
    home.mkdir()
    sites = web.post("/subscriptions/{rest:.+}/listSecrets", _secret)
    await kernel.start(
        [
            Vendor("registry", ("*.azurecr.io",), registries.routes, registries),
            Vendor("arm", ("management.azure.com",), [sites], None),
        ]
    )
    yield Runner(kernel, registries, home)
    await kernel.stop()


async def _secret(request: web.Request) -> web.Response:
    if not request.match_info["rest"].endswith("resourceGroups/rg/providers/Microsoft.Web/staticSites/site"):
        return web.json_response({"error": {"code": "ResourceNotFound"}}, status=404)
    return web.json_response({"properties": {"apiKey": request.headers["Authorization"][-4:]}})


async def test_az_needs_a_login_and_signs_docker_in(runner: Runner) -> None:
    code, told = await runner.run("az", "acr", "login", "--name", "one")
    assert (code, "az login" in told) == (1, True)
    runner.sign_in("bad")
    code, told = await runner.run("az", "acr", "login", "--name", "one")
    assert (code, "Could not connect" in told) == (1, True)
    runner.sign_in()
    for name in ("one", "two"):
        assert await runner.run("az", "acr", "login", "--name", name) == (0, "Login Succeeded\n")
    kept: dict[str, Any] = json.loads((runner.home / ".docker" / "config.json").read_text())["auths"]
    assert sorted(kept) == ["one.azurecr.io", "two.azurecr.io"], "the second does not forget the first"
    refresh = base64.b64decode(kept["one.azurecr.io"]["auth"]).decode().partition(":")[2]
    assert refresh == "refresh of one.azurecr.io"
    assert "not `az vm list`" in (await runner.run("az", "vm", "list"))[1]


async def test_az_reads_the_deployment_token_of_a_site(runner: Runner) -> None:
    runner.sign_in()
    asked = ("az", "staticwebapp", "secrets", "list", "--name", "site", "--resource-group")
    shown = ("--query", "properties.apiKey", "--output", "tsv")
    assert await runner.run(*asked, "rg", *shown) == (0, "good\n")
    code, told = await runner.run(*asked, "other", *shown)
    assert (code, "ResourceNotFound" in told) == (1, True)
    assert (await runner.run(*asked, "rg"))[0] == 1, "without the query there is more than the token"


async def test_skopeo_copies_the_very_same_image(runner: Runner) -> None:
    image = runner.registries.image("one.azurecr.io", index="hello")
    copy = ("skopeo", "copy", "--all", "--preserve-digests", f"docker://one.azurecr.io/app@{image}")
    target = "docker://two.azurecr.io/app:1.0"
    code, told = await runner.run(*copy, target)
    assert (code, "401" in told) == (1, True), "nobody has signed in"
    runner.sign_in()
    for name in ("one", "two"):
        await runner.run("az", "acr", "login", "--name", name)
    code, told = await runner.run(*copy, target)
    assert (code, image in told) == (0, True), told
    content = runner.registries.content
    assert content["two.azurecr.io", "1.0"] == content["one.azurecr.io", image]
    copied = {digest for host, digest in content if host == "two.azurecr.io"}
    assert {part for host, part in content if host == "one.azurecr.io"} - {image} <= copied
    content["one.azurecr.io", image] = b'{"other": true}'
    code, told = await runner.run(*copy, target)
    assert (code, "does not match" in told) == (1, True)


async def test_docker_gives_the_files_of_an_image_whose_layers_have_their_digests(runner: Runner) -> None:
    image = runner.registries.image("one.azurecr.io", index="hello")
    runner.sign_in()
    await runner.run("az", "acr", "login", "--name", "one")
    assert (await runner.run("docker", "create", "--name", "c", f"one.azurecr.io/app@{image}", "none"))[0] == 0
    target = runner.home / "site"
    assert (await runner.run("docker", "cp", "c:/site", str(target)))[0] == 0
    assert (target / "index").read_text() == "hello"
    assert (await runner.run("docker", "cp", "c:/site", str(target)))[0] == 1, "it is there already"
    content = runner.registries.content
    (layer,) = [part["digest"] for part in json.loads(content["one.azurecr.io", image])["layers"]]
    content["one.azurecr.io", layer] = b"something else"
    code, told = await runner.run("docker", "create", "--name", "d", f"one.azurecr.io/app@{image}", "none")
    assert (code, "layer verification failed" in told) == (1, True)
    assert "only" in (await runner.run("docker", "run", "x"))[1]
