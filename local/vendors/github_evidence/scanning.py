"""Code scanning: SARIF in, alerts out. https://docs.github.com/rest/code-scanning/code-scanning."""

import json
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web

from local.vendors.github.api import ApiError, Json, now, page
from local.vendors.kernel import Store

from .evidence import Call

SEVERITIES = {"error": "error", "warning": "warning", "note": "note"}


class Scanning:
    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, repository: Any, file: Path) -> str:
        """Take the SARIF file of a workflow's job in: the findings replace those of the tool's analysis before."""
        for run in json.loads(file.read_text())["runs"]:
            self._keep(repository, run)
        self._store.put(f"{repository.id}/analysed", now())
        return str(uuid.uuid4())

    async def alerts(self, call: Call) -> web.Response:
        if call.store.get(call.key("analysed")) is None:
            raise ApiError(404, "no analysis found")
        found = call.all("alert/")
        state = call.request.query.get("state")
        return page(call.request, [item for item in found if state in (None, item["state"])])

    def _keep(self, repository: Any, run: Json) -> None:
        driver = run["tool"]["driver"]
        rules = {rule["id"]: rule for rule in driver.get("rules", [])}
        present = {self._identity(result): result for result in run.get("results", [])}
        known = {item["identity"]: item for item in self._all(repository) if item["tool"]["name"] == driver["name"]}
        for identity, alert in known.items():
            state = "open" if identity in present else "fixed"
            self._store.put(
                f"{repository.id}/alert/{alert['number']:06}", alert | {"state": state, "updated_at": now()}
            )
        for identity, result in present.items():
            if identity not in known:
                number = len(self._all(repository)) + 1
                rule = rules.get(result.get("ruleId", ""), {})
                alert = self._alert(repository, number, result, rule) | {
                    "identity": identity,
                    "tool": {"name": driver["name"], "guid": None, "version": driver.get("version")},
                }
                self._store.put(f"{repository.id}/alert/{number:06}", alert)

    def _alert(self, repository: Any, number: int, result: Json, rule: Json) -> Json:
        level = result.get("level", "warning")
        score = rule.get("properties", {}).get("security-severity")
        shown = {"id": result.get("ruleId", ""), "severity": SEVERITIES.get(level, "none"), "tags": []}
        shown |= {"description": result["message"]["text"], "name": rule.get("name", result.get("ruleId", ""))}
        if score:
            names = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
            shown["security_severity_level"] = next((name for least, name in names if float(score) >= least), None)
        place = f"https://github.com/{repository.full_name}/security/code-scanning/{number}"
        times = {"created_at": now(), "updated_at": now(), "fixed_at": None, "dismissed_at": None}
        return times | {
            "number": number,
            "state": "open",
            "rule": shown,
            "html_url": place,
            "url": f"https://api.github.com/repos/{repository.full_name}/code-scanning/alerts/{number}",
        }

    def _all(self, repository: Any) -> list[Json]:
        return [value for _, value in self._store.list(f"{repository.id}/alert/")]

    @staticmethod
    def _identity(result: Json) -> str:
        place = result.get("locations", [{}])[0].get("physicalLocation", {})
        return json.dumps([result.get("ruleId"), result["message"]["text"], place.get("artifactLocation", {})])
