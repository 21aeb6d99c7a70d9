"""Entities of Backstage's catalogue and tasks of its scaffolder."""

import re

from local.vendors.kernel import Kernel

from .sheet import Link, Sheet

COLOUR = re.compile(r"\x1b\[\d+m")


async def entity(kernel: Kernel, namespace: str, kind: str, name: str) -> Sheet | None:
    """An entity with its specification, annotations and links."""
    known = await kernel.vendor("backstage").catalog.entities()
    if not (found := known.get(f"{kind}:{namespace}/{name}".lower())):
        return None
    metadata = found["metadata"]
    facts = {"Description": metadata.get("description"), "tags": ", ".join(metadata.get("tags", []))}
    facts |= {key: value for key, value in found["spec"].items() if isinstance(value, str)}
    links = [[Link(each.get("title") or each["url"], each["url"])] for each in metadata.get("links", [])]
    notes = [[key, Link(value, str(value).removeprefix("url:"))] for key, value in metadata["annotations"].items()]
    return Sheet(found["kind"], metadata["name"], facts, tables={"Links": links, "Annotations": notes})


async def task(kernel: Kernel, number: str) -> Sheet | None:
    """A task with its values and its log."""
    if not (kept := kernel.vendor("backstage").look(number)):
        return None
    found = kept["task"]
    facts = {"State": found["status"], "Created": found["createdAt"]} | found["spec"]["parameters"]
    said = [[event["createdAt"], COLOUR.sub("", event["body"]["message"])] for event in kept["events"]]
    return Sheet("Task", found["spec"]["templateInfo"]["entityRef"], facts, tables={"Log": said})
