"""Locations, and the entities that are read from them a second later.

https://backstage.io/docs/features/software-catalog/software-catalog-api/
"""

import asyncio
import hashlib
import time
from pathlib import Path
from uuid import uuid4

import yaml
from aiohttp import web

from local.vendors.kernel import MUTATING, Kernel

from .reading import LOCATION, ORIGIN, SAID, Document, Refused, entities_of, ref_of, refuse

DELAY, INTERVAL = 1.0, 120.0  # seconds until a location is read, and until it is read again


class Catalog:
    """`location/<id>`: a registered row; `source/<ref>`: when to read a target; `entity/<ref>`: what was read."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("backstage")

    async def seed(self) -> None:
        """The company's own template, as an entry of `catalog.locations` in an app-config brings it."""
        template = yaml.safe_load(Path(__file__).with_name("template.yaml").read_text())
        template["metadata"] |= {"annotations": dict.fromkeys((LOCATION, ORIGIN), "file:template.yaml")}
        self._keep(template)

    async def create_location(self, request: web.Request) -> web.Response:
        body, strategy = await request.json(), request.query.get("onConflict", "reject")
        if "target" not in body or body.get("type") != "url":
            raise refuse("type" if "target" in body else "target")
        if strategy not in ("refresh", "reject"):
            raise refuse("strategy")
        target = body["target"]
        (location, row), known = _location(target), [row for row in self._rows() if row["target"] == target]
        if request.query.get("dryRun") == "true":
            request[MUTATING] = False
            entities = [location, *await entities_of(self._kernel, target)]
            answer = {"exists": bool(known), "location": row | {"id": f"url:{target}"}, "entities": entities}
            return web.json_response(answer, status=201)
        if known and strategy == "reject":
            raise Refused("ConflictError", f"Location url:{target} already exists")
        await asyncio.sleep(0.01)  # like the backend: it looks, then inserts, and there is no unique index
        row = known[0] if known else row
        with self._store.transaction():
            self._store.put(f"location/{row['id']}", row)
            self._store.put(f"source/{row['entityRef']}", {"target": target, "due": time.time() + DELAY})
        return web.json_response({"location": row, "entities": []}, status=201)

    async def list_locations(self, _: web.Request) -> web.Response:
        return web.json_response([{"data": row} for row in self._rows()])

    async def delete_location(self, request: web.Request) -> web.Response:
        """The entities go with it, even when the same target is registered a second time."""
        row = self._store.get(f"location/{request.match_info['id']}")
        if row is None:
            raise Refused("NotFoundError", SAID["gone"].format(request.match_info["id"]))
        with self._store.transaction():
            self._store.delete(f"location/{row['id']}")
            self._store.delete(f"source/{row['entityRef']}")
            self._prune(row["target"], set())
        return web.Response(status=204)

    async def find_entities(self, request: web.Request) -> web.Response:
        request[MUTATING] = False
        body, known = await request.json(), await self.entities()
        found = [known.get(ref.lower()) for ref in body["entityRefs"]]
        return web.json_response({"items": [entity and _only(entity, body.get("fields", [])) for entity in found]})

    async def query_entities(self, request: web.Request) -> web.Response:
        """By one annotation."""
        key, _, value = request.query.get("filter", "").partition("=")
        name = key.removeprefix("metadata.annotations.")
        if name == key or "," in value or request.query.keys() - {"filter", "fields", "limit"}:
            raise Refused("NotImplementedError", "the stand-in queries by one annotation only")
        known = (await self.entities()).values()
        found = [one for one in known if one["metadata"]["annotations"].get(name, "").lower() == value.lower()]
        fields = [field for field in request.query.get("fields", "").split(",") if field]
        page = [_only(entity, fields) for entity in found[: int(request.query.get("limit", "20"))]]
        return web.json_response({"items": page, "totalItems": len(found), "pageInfo": {}})

    async def entities(self) -> dict[str, Document]:
        """What is visible now; reads the locations whose time has come."""
        for key, source in self._store.list("source/"):
            if source["due"] <= time.time():
                await self._process(key, source["target"])
        return {key.removeprefix("entity/"): entity for key, entity in self._store.list("entity/")}

    async def _process(self, key: str, target: str) -> None:
        """Read a location. What cannot be read leaves all as it is; a name that is taken is passed over in silence."""
        try:
            found = [_location(target)[0], *await entities_of(self._kernel, target)]
        except Refused:
            found = []
        with self._store.transaction():
            if self._store.get(key) is None:  # deleted meanwhile
                return
            self._store.put(key, {"target": target, "due": time.time() + INTERVAL})
            if found:
                self._prune(target, {ref_of(entity) for entity in found})
            for entity in found:
                self._keep(entity)

    def _keep(self, entity: Document) -> None:
        key, own = f"entity/{ref_of(entity)}", entity["metadata"]
        known = (self._store.get(key) or entity)["metadata"]
        if known["annotations"][ORIGIN] == own["annotations"][ORIGIN]:
            facts = {"uid": known.get("uid", str(uuid4())), "etag": _sha1(repr(entity))}
            self._store.put(key, entity | {"metadata": own | facts})

    def _prune(self, target: str, kept: set[str]) -> None:
        for key, entity in self._store.list("entity/"):
            if entity["metadata"]["annotations"][ORIGIN] == f"url:{target}" and key.removeprefix("entity/") not in kept:
                self._store.delete(key)

    def _rows(self) -> list[Document]:
        return [row for _, row in self._store.list("location/")]


def _location(target: str) -> tuple[Document, Document]:
    """A location is an entity and a row."""
    spec, name = {"type": "url", "target": target}, f"generated-{_sha1(f'url:{target}')}"
    metadata = {"name": name, "namespace": "default", "annotations": dict.fromkeys((LOCATION, ORIGIN), f"url:{target}")}
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Location", "metadata": metadata, "spec": spec}
    return entity, {"id": str(uuid4())} | spec | {"entityRef": ref_of(entity)}


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _only(entity: Document, fields: list[str]) -> Document:
    """Whole members of an entity; all when none is named."""
    return {name: value for name, value in entity.items() if not fields or name in fields}
