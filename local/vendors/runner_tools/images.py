"""`skopeo copy` of the local runner: an image from one registry to another as it is, so that its digest stays.

https://github.com/containers/skopeo/blob/main/docs/skopeo-copy.1.md
"""

import base64
import hashlib
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ACCEPT = "application/vnd.oci.image.manifest.v1+json"


def main(arguments: list[str]) -> str:
    """Copy; returns what the command prints."""
    match arguments:
        case ["copy", "--all", "--preserve-digests", source, target]:
            return _copy(source.removeprefix("docker://"), target.removeprefix("docker://"))
    sys.exit("skopeo: this runner has `skopeo copy --all --preserve-digests docker://<source> docker://<target>` only")


def _copy(source: str, target: str) -> str:
    (server, _, name), digest = source.partition("@")[0].partition("/"), source.partition("@")[2]
    manifest = _call(server, "GET", f"/v2/{name}/manifests/{digest}")
    if f"sha256:{hashlib.sha256(manifest).hexdigest()}" != digest:
        sys.exit(f"FATA: Manifest does not match provided manifest digest {digest}")
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
