"""What the catalog reads and accepts, and its refusals in its own words.

https://backstage.io/docs/features/software-catalog/descriptor-format/
"""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import yaml

from local.vendors.kernel import Kernel

SAID: dict[str, Any] = json.loads(Path(__file__).with_name("said.json").read_text())
ORIGIN, LOCATION = "backstage.io/managed-by-origin-location", "backstage.io/managed-by-location"
TARGET = re.compile(r"https://github\.com/([^/]+)/([^/]+)/(?:blob|tree)/([^/]+)/(.+)")
NAME = re.compile(r"(?=.{1,63}\Z)([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

type Document = dict[str, Any]


class Refused(Exception):  # noqa: N818 -- an answer to the caller, not an error of the stand-in
    """Name and message of an error of the backend."""


def refuse(said: str, *values: object) -> Refused:
    return Refused("InputError", SAID[said].format(*values))


def ref_of(entity: Document) -> str:
    return f"{entity['kind']}:{entity['metadata'].get('namespace', 'default')}/{entity['metadata']['name']}".lower()


async def entities_of(kernel: Kernel, target: str) -> list[Document]:
    """The entities of a file, the last one first, as the backend works on them. Raises Refused InputError."""
    tree = target.replace("/blob/", "/tree/", 1)
    text, found = await _read(kernel, target, "missing", tree), dict[str, Document]()
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise refuse("yaml", tree, error) from error
    for document in reversed(documents):
        ref = ref_of(document)
        if document["kind"] not in SAID["required"]:
            raise refuse("kind", ref, target)
        entity = await _filled(kernel, document, target)
        if not NAME.fullmatch(entity["metadata"]["name"]):
            raise refuse("name", ref, entity["metadata"]["name"])
        if lacking := [name for name in SAID["required"][entity["kind"]] if name not in entity["spec"]]:
            raise refuse("spec", ref, lacking[0])
        if ref in found:
            raise refuse("double", ref)
        annotations = entity["metadata"].get("annotations", {}) | {LOCATION: f"url:{tree}", ORIGIN: f"url:{target}"}
        metadata = {"namespace": "default"} | entity["metadata"] | {"annotations": annotations}
        found[ref] = entity | {"metadata": metadata, "relations": []}
    return list(found.values())


async def _read(kernel: Kernel, target: str, *missing: str) -> str:
    parts = TARGET.fullmatch(target)
    if parts is None:
        raise refuse("host", target)
    repository = kernel.vendor("github").repository(parts[1], parts[2])
    content = await repository.read(parts[3], parts[4]) if repository else None
    if content is None:
        raise refuse(*missing)
    return str(content.decode())


async def _filled(kernel: Kernel, value: Any, target: str) -> Any:
    """A document with its `$text` placeholders replaced by the files that they name."""
    if isinstance(value, list):
        return [await _filled(kernel, item, target) for item in value]
    if not isinstance(value, dict):
        return value
    if path := value.get("$text"):
        return await _read(kernel, urljoin(target, path), "placeholder", path)
    return {name: await _filled(kernel, item, target) for name, item in value.items()}
