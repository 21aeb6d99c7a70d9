"""The modules against azurerm's own schema, and their whole life against the stand-in for Azure."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.vendors.kernel import Kernel
from tests.infra.conftest import INFRA, ROOT, Runner

MODULE = INFRA / "modules" / "application_environment"
STACK = INFRA / "stacks" / "api"
MODULES = [folder for place in ("modules", "platform") for folder in sorted((INFRA / place).iterdir())]
MODULES.append(INFRA / "automation")
FOLDERS = [*MODULES, *sorted((INFRA / "stacks").iterdir())]
FOLDERS.append(INFRA / "policy")
# What an order of another archetype gives besides what every order gives, and what lies in its environment then.
OTHERS: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "worker": (
        {"names": {"service_bus": "sb-payments-api-dev-1a2b3c"}, "max_delivery_count": 5},
        "Microsoft.ServiceBus/namespaces/sb-payments-api-dev-1a2b3c/queues/work",
        {"service_bus_host": "sb-payments-api-dev-1a2b3c.servicebus.windows.net"},
    ),
    "data_job": (
        {"names": {"storage_account": "stpaymentsapidev1a2b3c"}},
        "Microsoft.Storage/storageAccounts/stpaymentsapidev1a2b3c/blobServices/default/containers/data",
        {"storage_url": "https://stpaymentsapidev1a2b3c.blob.core.windows.net/"},
    ),
    "spa": (
        {"names": {"static_site": "stapp-payments-api-dev-1a2b3c"}, "sku": "Standard"},
        "Microsoft.Web/staticSites/stapp-payments-api-dev-1a2b3c/customDomains/payments-api.dev.apps.contoso.com",
        {"site_name": "stapp-payments-api-dev-1a2b3c"},
    ),
}
VARIABLES = Path(__file__).with_name("environment.json")
GROUP = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-payments-api-dev"


@pytest.fixture
def offline_runner(runner: Runner, azure: Kernel) -> Runner:
    """The runner with our own stack; only its state lies in a file instead of Azure Storage."""
    root = runner.folder / "infra"
    shutil.copytree(INFRA / "modules", root / "modules")
    shutil.copytree(INFRA / "stacks", root / "stacks")
    for stack in (root / "stacks").iterdir():
        (stack / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    runner.environment |= azure.vendor("azurerm").environment() | {"IAC_ROOT": str(root)}
    return runner


def terraform_in(folder: Path, program: str, *arguments: str, **environment: str) -> str:
    quiet = {"TF_CLI_CONFIG_FILE": os.devnull, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    command = [program, *arguments]
    variables = os.environ | quiet | environment
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_format(terraform: str) -> None:
    terraform_in(INFRA, terraform, "fmt", "-check", "-recursive", "-diff")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_variables_and_outputs_say_what_they_are(folder: Path) -> None:
    for file, kind in (("variables.tf", "variable"), ("outputs.tf", "output")):
        blocks = re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', (folder / file).read_text(), re.MULTILINE | re.DOTALL)
        assert blocks
        assert [name for name, body in blocks if "description" not in body] == []
        if kind == "variable":
            assert [name for name, body in blocks if not re.search(r"^  type +=", body, re.MULTILINE)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_text_of_a_module_is_validated(module: Path) -> None:
    source = (module / "variables.tf").read_text()
    blocks = re.findall(r'^variable "(\w+)" {\n(.*?)^}', source, re.MULTILINE | re.DOTALL)
    unchecked = {name for name, body in blocks if "validation {" not in body}
    assert unchecked <= {"public_endpoint", "public_network_access", "event_driven_scaling"}, (
        "only booleans need no rule"
    )


@pytest.mark.parametrize("stack", sorted((INFRA / "stacks").iterdir()), ids=lambda stack: stack.name)
def test_a_stack_hands_every_variable_on(stack: Path) -> None:
    declared = set(re.findall(r'^variable "(\w+)"', (stack / "variables.tf").read_text(), re.MULTILINE))
    handed_on = set(re.findall(r"= var\.(\w+)$", (stack / "main.tf").read_text(), re.MULTILINE))
    assert declared == handed_on | {"subscription_id"}
    given = set(json.loads(VARIABLES.read_text()))
    assert given - {"database", "public_endpoint"} <= declared
    assert given <= declared or stack != STACK


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
async def test_unit_tests_of_a_module(azure: Kernel, terraform: str, tmp_path: Path, module: Path) -> None:
    folder = shutil.copytree(module, tmp_path / "module", ignore=shutil.ignore_patterns(".terraform*"))
    provider = azure.vendor("azurerm").environment()
    await asyncio.to_thread(terraform_in, folder, terraform, "init", "-no-color", **provider)
    await asyncio.to_thread(terraform_in, folder, terraform, "validate", "-no-color", **provider)
    output = await asyncio.to_thread(terraform_in, folder, terraform, "test", "-no-color", **provider)
    assert re.search(r"Success! \d+ passed, 0 failed", output), output


async def run(runner: Runner, action: str, run_id: str, *arguments: str, stack: str = "api") -> dict[str, Any]:
    code, output = await asyncio.to_thread(runner.run, action, run_id, f"--stack={stack}", *arguments)
    assert code == 0, output
    return runner.cloud.document(run_id, "result.json")


async def test_the_life_of_an_environment(offline_runner: Runner, azure: Kernel) -> None:
    runner, variables, estate = offline_runner, f"--tfvars={VARIABLES}", azure.vendor("arm")
    planned = await run(runner, "plan", "p1", variables)
    again = await run(runner, "plan", "p2", variables)
    assert planned["summary"] == {"create": 19, "update": 0, "replace": 0, "delete": 0, "noop": 0}
    assert planned["changeset_sha256"] == again["changeset_sha256"]
    assert estate.resource(GROUP) is None, "a plan makes nothing"

    saved = ("--plan-run-id=p1", f"--plan-sha256={planned['plan_sha256']}")
    applied = await run(runner, "apply", "a1", *saved)
    assert applied["outputs"]["key_vault_uri"] == "https://kv-payments-api-1a2b3c.vault.azure.net/"
    assert applied["outputs"]["database_host"] == "psql-payments-api-dev-1a2b3c.postgres.database.azure.com"
    assert applied["outputs"]["hostname"] == "payments-api.dev.apps.contoso.com"
    assert estate.resource(GROUP)["tags"]["appstore-request-id"] == "req-7f3a"
    assert estate.dns_record("payments-api.dev.apps.contoso.com") is not None

    unchanged = await run(runner, "drift", "d1", variables)
    assert unchanged["exit_code"] == 0, runner.cloud.document("d1", "changeset.json")
    group = estate.resource(GROUP)
    estate._estate.put({**group, "tags": {**group["tags"], "owner-team": "somebody else"}})
    assert (await run(runner, "drift", "d2", variables))["exit_code"] == 2
    drift = runner.cloud.document("d2", "changeset.json")["drift"]
    assert [(change["address"], change["action"]) for change in drift] == [
        ("module.environment.azurerm_resource_group.this", "update")
    ]
    assert drift[0]["after"]["tags"]["owner-team"] == "somebody else"

    removal = await run(runner, "destroy-plan", "p3", variables)
    assert removal["summary"]["delete"] == 19
    await run(runner, "destroy", "x1", "--plan-run-id=p3", f"--plan-sha256={removal['plan_sha256']}")
    assert estate.resource(GROUP) is None
    assert estate.dns_record("payments-api.dev.apps.contoso.com") is None


@pytest.mark.long
async def test_the_life_of_a_cluster_of_its_own(offline_runner: Runner, azure: Kernel) -> None:
    """Made by the same plan, found under the id that was planned, and gone with the environment."""
    runner, estate = offline_runner, azure.vendor("arm")
    cluster = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/aks-payments-api-dev"
    own = {"name": "aks-payments-api-dev", "node_size": "Standard_D4ds_v5", "node_count": 3}
    variables = json.loads(VARIABLES.read_text()) | {"cluster_id": cluster, "dedicated_cluster": own}
    file = runner.folder / "dedicated.json"
    file.write_text(json.dumps(variables))
    planned = await run(runner, "plan", "p1", f"--tfvars={file}")
    assert planned["summary"]["create"] == 25
    saved = ("--plan-run-id=p1", f"--plan-sha256={planned['plan_sha256']}")
    applied = await run(runner, "apply", "a1", *saved)
    assert applied["outputs"]["cluster_id"] == cluster
    properties = estate.resource(cluster)["properties"]
    assert properties["agentPoolProfiles"][0]["count"] == 3
    assert (properties["disableLocalAccounts"], properties["apiServerAccessProfile"]["disableRunCommand"]) == (
        True,
        True,
    )
    kubelet = properties["identityProfile"]["kubeletidentity"]["objectId"]
    registry = variables["registry_id"]
    assert estate.assignments(kubelet, "Container Registry Repository Reader", registry)
    unchanged = await run(runner, "drift", "d1", f"--tfvars={file}")
    assert unchanged["exit_code"] == 0, runner.cloud.document("d1", "changeset.json")
    removal = await run(runner, "destroy-plan", "p3", f"--tfvars={file}")
    await run(runner, "destroy", "x1", "--plan-run-id=p3", f"--plan-sha256={removal['plan_sha256']}")
    assert estate.resource(cluster) is None
    assert estate.resource(GROUP) is None


@pytest.mark.parametrize(
    "stack", [pytest.param(stack, marks=[pytest.mark.long] if stack != "spa" else []) for stack in OTHERS]
)
async def test_the_life_of_another_stack(offline_runner: Runner, azure: Kernel, stack: str) -> None:
    """Exactly the objects of the archetype's own list are made, nothing drifts, and nothing stays."""
    runner, estate = offline_runner, azure.vendor("arm")
    more, made, outputs = OTHERS[stack]
    given = {key: value for key, value in json.loads(VARIABLES.read_text()).items() if key != "database"}
    given.pop("public_endpoint")
    file = runner.folder / "variables.json"
    file.write_text(json.dumps(given | more | {"names": given["names"] | more["names"]}))
    planned = await run(runner, "plan", "p1", f"--tfvars={file}", stack=stack)
    addresses = {change["address"] for change in runner.cloud.document("p1", "changeset.json")["changes"]}
    objects = yaml.safe_load((ROOT / "archetypes" / stack / "stack.yaml").read_text())["objects"]
    assert addresses == {
        item["name"]
        for item in objects
        if item["owner"] == "terraform"
        and item.get("when", {}).items() <= more.items()
        and item["scope"] != "later-environments"
    }
    saved = ("--plan-run-id=p1", f"--plan-sha256={planned['plan_sha256']}")
    applied = await run(runner, "apply", "a1", *saved, stack=stack)
    assert outputs.items() <= applied["outputs"].items()
    assert estate.resource(f"{GROUP}/providers/{made}") is not None
    unchanged = await run(runner, "drift", "d1", f"--tfvars={file}", stack=stack)
    assert unchanged["exit_code"] == 0, runner.cloud.document("d1", "changeset.json")
    removal = await run(runner, "destroy-plan", "p2", f"--tfvars={file}", stack=stack)
    await run(runner, "destroy", "x1", "--plan-run-id=p2", f"--plan-sha256={removal['plan_sha256']}", stack=stack)
    assert estate.resource(GROUP) is None


async def test_a_rule_of_the_module_reaches_the_requester(offline_runner: Runner) -> None:
    variables = json.loads(VARIABLES.read_text()) | {"team_role": "Owner"}
    file = offline_runner.folder / "wrong.json"
    file.write_text(json.dumps(variables))
    code, _ = await asyncio.to_thread(offline_runner.run, "plan", "p1", "--stack=api", f"--tfvars={file}")
    problem = offline_runner.cloud.document("p1", "result.json")["problem"]
    assert code == 1
    assert "team_role: Contributor in dev, Reader in qa and prod." in problem["detail"]
