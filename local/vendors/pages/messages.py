"""Messages in Slack's channels. The channel of Teams has a page of its own, `/_vendors/teams`."""

import re

from local.vendors.kernel import Kernel

from .sheet import Link, Sheet


async def message(kernel: Kernel, channel: str, seconds: str, fraction: str) -> Sheet | None:
    """The texts of its blocks as they were sent, and where their links lead: `<address|text>`."""
    if not (found := kernel.store("slack").get(f"message/{channel}/{seconds}.{fraction}")):
        return None
    parts = [part for block in found["blocks"] for part in block.get("elements", [block.get("text")]) if part]
    text = "\n".join(part["text"] for part in parts) or found["text"]
    links = [[Link(name, url)] for url, name in re.findall(r"<([^|>\s]+)\|([^>]+)>", text)]
    return Sheet("Message", f"Message in {channel}", {}, text, {"Links": links})
