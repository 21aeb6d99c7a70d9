"""`skopeo copy` and `docker create`/`cp` of the local runner: images by their digest, over the registry's API.

https://github.com/containers/skopeo/blob/main/docs/skopeo-copy.1.md,
https://docs.docker.com/reference/cli/docker/container/create/, https://docs.docker.com/reference/cli/docker/container/cp/
"""

import base64
import hashlib
import io
import json
import os
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ACCEPT = "application/vnd.oci.image.manifest.v1+json"


def main(arguments: list[str]) -> str:
    """Carry one command out, its program first; returns what it prints."""
    match arguments:
        case ["skopeo", "copy", "--all", "--preserve-digests", source, target]:
            return _copy(source.removeprefix("docker://"), target.removeprefix("docker://"))
        case ["docker", "create", "--name", name, image, _]:
            return _create(_containers() / name, image)
        case ["docker", "cp", source, target]:
            name, _, path = source.partition(":")
            return _take(_containers() / name, path, Path(target))
    sys.exit(f"{arguments[0]}: this runner has `skopeo copy --all --preserve-digests`, `docker create`, `cp` only")


def _containers() -> Path:
    return Path(os.environ["RUNNER_TEMP"]) / "containers"


def _create(container: Path, image: str) -> str:
    """The files of an image; there is no program to start."""
    place, _, digest = image.partition("@")
    server, _, name = place.partition("/")
    manifest = _manifest(server, name, digest)
    container.mkdir(parents=True)
    for layer in json.loads(manifest)["layers"]:
        blob = _call(server, "GET", f"/v2/{name}/blobs/{layer['digest']}")
        if f"sha256:{hashlib.sha256(blob).hexdigest()}" != layer["digest"]:
            sys.exit(f"docker: layer verification failed for digest {layer['digest']}")
        with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
            archive.extractall(container, filter="data")
    return digest.removeprefix("sha256:")


def _take(container: Path, path: str, target: Path) -> str:
    found = container / path.lstrip("/")
    if not found.is_dir() or target.exists():
        sys.exit(f"docker: {path} of {container.name} is no folder, or {target} is there: a folder to a new place only")
    found.rename(target)
    return f"Successfully copied to {target.absolute()}"


def _manifest(server: str, name: str, digest: str) -> bytes:
    manifest = _call(server, "GET", f"/v2/{name}/manifests/{digest}")
    if f"sha256:{hashlib.sha256(manifest).hexdigest()}" != digest:
        sys.exit(f"FATA: Manifest does not match provided manifest digest {digest}")
    return manifest


def _copy(source: str, target: str) -> str:
    (server, _, name), digest = source.partition("@")[0].partition("/"), source.partition("@")[2]
    manifest = _manifest(server, name, digest)
    to, _, place = target.partition("/")
    wanted, _, tag = place.rpartition(":")
    document = json.loads(manifest)
    for part in (document["config"], *document["layers"]):
        blob = _call(server, "GET", f"/v2/{name}/blobs/{part['digest']}")
        _call(to, "POST", f"/v2/{wanted}/blobs/uploads/?{urllib.parse.urlencode({'digest': part['digest']})}", blob)
    _call(to, "PUT", f"/v2/{wanted}/manifests/{tag}", manifest)
    return f"Writing manifest to image destination {digest}"


def _call(server: str, method: str, path: str, content: bytes | None = None) -> bytes:
    config = Path.home() / ".docker" / "config.json"
    kept = json.loads(config.read_text())["auths"].get(server, {}).get("auth", "") if config.exists() else ""
    refresh = base64.b64decode(kept).decode().partition(":")[2]
    headers = {"Authorization": f"Bearer {refresh}", "Accept": ACCEPT, "Content-Type": ACCEPT}
    asked = urllib.request.Request(f"https://{server}{path}", content, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - https
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        sys.exit(f"FATA: {method} https://{server}{path}: {error.code} {error.read().decode(errors='replace')[:300]}")


if __name__ == "__main__":
    print(main(sys.argv[1:]))  # noqa: T201 - a command's answer
