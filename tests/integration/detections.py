"""Detections of drift whose pipeline run has left its artefacts, and the application that they are about."""

import hashlib
import json
from typing import Any

import httpx

from local.sign_in import identity_token
from shared.instance_ids import iac_run
from shared.models.drift import FindingRecord, ReadDrift
from shared.models.operations import OperationRecord
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, PipelineRun, Run
from shared.register import findings
from shared.tagging import required_tags
from tests.integration.day2 import active, ask
from tests.integration.world import World

SIZE = "module.environment.azurerm_postgresql_flexible_server.this[0]"
ALERT = 'module.environment.azurerm_monitor_metric_alert.this["database-storage"]'
GROUP = "module.environment.azurerm_resource_group.this"
PIPELINE = PipelineRun(repository="infrastructure", run_id=1, status="completed", conclusion="success")


def size(there: str = "B_Standard_B2s") -> list[dict[str, Any]]:
    return [change(SIZE, "azurerm_postgresql_flexible_server", {"sku_name": there}, {"sku_name": "B_Standard_B1ms"})]


def alert(record: RequestRecord) -> list[dict[str, Any]]:
    """An alert that has to be made anew; it holds no data."""
    code = {"severity": 2, "tags": required_tags(record, "dev")}
    found = change(ALERT, "azurerm_monitor_metric_alert", {**code, "severity": 4}, code)
    return [{**found, "action": "replace"}]


def tag(record: RequestRecord) -> list[dict[str, Any]]:
    return group(record, {"tags": {**required_tags(record, "dev"), "criticality": "none"}})


def manager(record: RequestRecord) -> list[dict[str, Any]]:
    return group(record, {"managed_by": "/subscriptions/x"})


def group(record: RequestRecord, there: dict[str, Any]) -> list[dict[str, Any]]:
    code = {"location": "westeurope", "managed_by": None, "tags": required_tags(record, "dev")}
    return [change(GROUP, "azurerm_resource_group", {**code, **there}, code)]


def change(address: str, kind: str, before: Any, after: Any) -> dict[str, Any]:
    paths: dict[str, Any] = {"unknownPaths": [], "replacePaths": []}
    return {"address": address, "type": kind, "action": "update", "before": before, "after": after, **paths}


class Detection:
    """One detection whose pipeline run has left its artefacts."""

    def __init__(self, world: World, operation: OperationRecord) -> None:
        self._world, self.operation = world, operation
        self.run = Run(
            request_id=operation.id, application=operation.application, branch="operation", environment="dev"
        )

    @classmethod
    async def begin(cls, world: World, record: RequestRecord, **fields: Any) -> "Detection":
        operation = await ask(record, "detect-drift", environment="dev", **fields)
        found = cls(world, operation)
        await world.value("begin_operation", ActivityInput(run=found.run))
        return found

    def found(self, changes: list[dict[str, Any]], action: str = "drift") -> ReadDrift:
        """Leave what the runner writes."""
        run_id = iac_run(self.operation.id, "dev", action, "1")
        back = [{**item, "before": item["after"], "after": item["before"]} for item in changes]
        kinds = [item["action"] for item in changes]
        counts = {kind: kinds.count(kind) for kind in ("create", "update", "replace", "delete", "noop")}
        change_set = {"engine": "terraform", "toolVersion": "1.15.5", "summary": counts, "outputs": {}}
        content = json.dumps({**change_set, "changes": changes, "drift": back}).encode()
        digest = hashlib.sha256(content).hexdigest()
        result: dict[str, Any] = {
            "run_id": run_id,
            "action": action,
            "status": "succeeded",
            "problem": None,
            "outputs": {},
        }
        self._put(f"{run_id}/changeset.json", content)
        result |= {"changeset_sha256": digest, "plan_sha256": None if action == "drift" else "a" * 64}
        self._put(f"{run_id}/result.json", json.dumps(result).encode())
        return ReadDrift(run=self.run, run_id=run_id, pipeline=PIPELINE, commit="c" * 40)

    def _put(self, name: str, content: bytes) -> None:
        stack = self._world.stack
        place = f"https://{stack.settings['TERRAFORM_STATE_ACCOUNT']}.blob.core.windows.net/plans"
        headers = {"Authorization": f"Bearer {identity_token(stack, 'https://storage.azure.com/')}"}
        headers |= {"x-ms-version": "2023-11-03", "x-ms-blob-type": "BlockBlob"}
        stack.vendors.put(f"{place}?restype=container", headers=headers)
        answer = stack.vendors.put(f"{place}/{name}", content=content, headers=headers)
        assert answer.status_code == httpx.codes.CREATED, answer.text

    async def settle(self, changes: list[dict[str, Any]]) -> list[FindingRecord]:
        """Read what was found and bring the issues into line."""
        await self._world.value("read_drift", self.found(changes))
        await self._world.value("ensure_drift_items", ActivityInput(run=self.run))
        return await findings.of_application(self.operation.application)


async def owner(world: World) -> RequestRecord:
    """An application that is active, with its repository."""
    record = await active(world)
    world.github("/orgs/contoso/repos", "POST", {"name": record.application, "auto_init": True})
    return record
