"""Access keys, made once per data folder; asked for only with --auth, as Core Tools does with --enableAuth."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_FILE = "keys.json"


@dataclass(frozen=True)
class Keys:
    """The master key opens everything, the function key functions, the system key webhooks."""

    master: str
    function: str
    system: str
    required: bool

    def allow(self, request: web.Request, level: str) -> bool:
        """Whether the caller's key is good for `anonymous`, `function`, `system` or `admin`."""
        if not self.required or level == "anonymous":
            return True
        given = request.query.get("code") or request.headers.get("x-functions-key") or ""
        accepted = [self.master]
        if level == "function":
            accepted.append(self.function)
        elif level == "system":
            accepted.append(self.system)
        return any(secrets.compare_digest(given.encode(), key.encode()) for key in accepted)


def load(data: Path, *, required: bool) -> Keys:
    """Read the keys of this data folder, or make them (readable by the owner only)."""
    path = data / _FILE
    if not path.exists():
        made = {name: secrets.token_urlsafe(40) for name in ("master", "function", "system")}
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(made, file)
        draft.rename(path)
    return Keys(**json.loads(path.read_text(encoding="utf-8")), required=required)
