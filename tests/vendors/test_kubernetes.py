"""From a build context to an answer under the application's DNS name, and everything that can be missing between."""

import asyncio
import os
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.processes import started_at
from local.vendors import arm, entra, kubernetes, registry
from local.vendors.kernel import Kernel
from local.vendors.kubernetes import KubernetesError

HOST = "shop.dev.apps.contoso.com"
SUBSCRIPTION = "/subscriptions/20000000-0000-0000-0000-000000000001"
CLUSTER_ID = (
    f"{SUBSCRIPTION}/resourceGroups/rg-platform-dev/providers/Microsoft.ContainerService/managedClusters/aks-dev-weu"
)
NAMESPACE_ID = f"{CLUSTER_ID}/managedNamespaces/shop-dev"
DNS = f"{SUBSCRIPTION}/resourceGroups/rg-platform-dns/providers/Microsoft.Network"
RECORD_ID = f"{DNS}/dnsZones/dev.apps.contoso.com/CNAME/shop"
REPOSITORY = "crcontosodev.azurecr.io/shop"
DOCKERFILE = """FROM python:3.13-slim
ENV GREETING="hello" \\
    OTHER=1
WORKDIR /service
COPY requirements.txt ./
RUN python -m pip install --requirement requirements.txt && useradd service
COPY app ./app
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "pass"]
CMD ["python", "-m", "app.server", "--host", "0.0.0.0", "8080"]
"""
SERVER = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        names = ("GREETING", "APP_VERSION", "MODE")
        body = json.dumps({name: os.environ.get(name) for name in names} | {"path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Handler).serve_forever()
"""


def manifests(digest: str, version: str = "1", host: str = HOST) -> list[dict[str, Any]]:
    labels = {"app": "shop"}
    container = {
        "name": "service",
        "image": f"{REPOSITORY}@{digest}",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [
            {"name": "APP_VERSION", "value": version},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
        ],
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
    }
    backend = {"service": {"name": "shop", "port": {"name": "http"}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"mode": "fast"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop"},
            "spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {"selector": labels}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "shop"},
            "spec": {"rules": [rule]},
        },
    ]


class Platform:
    """The stand-ins that a deployment touches."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def start(self) -> None:
        self.kernel = Kernel(self.root)
        stand_ins = (entra, arm, kubernetes, registry)
        await self.kernel.start([stand_in.build(self.kernel) for stand_in in stand_ins])
        self.estate = self.kernel.vendor("arm")._estate
        self.clusters = self.kernel.vendor("kubernetes")
        self.registry = self.kernel.vendor("registry")

    async def stop(self) -> None:
        await self.kernel.stop()

    def make(self, resource_id: str, kind: str, **properties: object) -> None:
        named = {"id": resource_id, "name": resource_id.rpartition("/")[2], "type": kind}
        self.estate.put({**named, "properties": {"provisioningState": "Succeeded", **properties}})

    def make_namespace(self) -> None:
        self.make(NAMESPACE_ID, "Microsoft.ContainerService/managedClusters/managedNamespaces")

    def make_record(self, cluster: str = "aks-dev-weu") -> None:
        target = {"cname": f"ingress.{cluster}.contoso.com"}
        self.make(RECORD_ID, "Microsoft.Network/dnszones/CNAME", CNAMERecord=target)

    async def get(self, path: str = "/health", host: str = HOST) -> httpx.Response:
        context = ssl.create_default_context(cafile=str(self.kernel.ca_bundle))
        async with httpx.AsyncClient(proxy=self.kernel.proxy_url, verify=context, timeout=20) as client:
            return await client.get(f"https://{host}{path}", headers={"Authorization": "Bearer secret"})

    @property
    def pid(self) -> int:
        (pod,) = self.clusters.pods.values()
        assert pod.process is not None
        return int(pod.process.pid)


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    started = Platform(tmp_path / "local")
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "__init__.py").touch()
    (folder / "app" / "server.py").write_text(SERVER)
    (folder / "app" / "notes.md").write_text("not for the image")
    (folder / "requirements.txt").touch()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text("*\n!app\n!requirements.txt\n**/*.md\n")
    return folder


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 20
    while not await done():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_deployment_runs_and_answers_under_its_name(platform: Platform, context: Path) -> None:
    assert (await platform.get()).status_code == 502
    assert (await platform.get(host="shop.example.org")).status_code == 501
    digest = await platform.registry.push(REPOSITORY, "1", context, context / "Dockerfile")
    platform.make_namespace()
    lines = await platform.clusters.apply("aks-dev-weu", "shop-dev", manifests(digest))
    assert lines == [
        "configmap/settings created",
        "deployment.apps/shop created",
        "service/shop created",
        "ingress.networking.k8s.io/shop created",
        'deployment "shop" successfully rolled out',
    ]
    assert "NXDOMAIN" in (await platform.get()).text
    platform.make_record()
    answer = await platform.get("/health?a=b")
    assert answer.json() == {"GREETING": "hello", "APP_VERSION": "1", "MODE": "fast", "path": "/health?a=b"}
    first = platform.pid
    again = await platform.clusters.apply("aks-dev-weu", "shop-dev", manifests(digest))
    assert again[1] == "deployment.apps/shop unchanged"
    assert platform.pid == first
    await platform.clusters.apply("aks-dev-weu", "shop-dev", manifests(digest, version="2"))
    assert (await platform.get()).json()["APP_VERSION"] == "2"
    assert gone(first)
    platform.make_record("aks-qa-weu")
    assert (await platform.get()).status_code == 404


async def test_it_is_started_again_after_a_crash_and_after_a_restart(platform: Platform, context: Path) -> None:
    digest = await platform.registry.push(REPOSITORY, "1", context, context / "Dockerfile")
    platform.make_namespace()
    platform.make_record()
    await platform.clusters.apply("aks-dev-weu", "shop-dev", manifests(digest))
    first = platform.pid
    assert (await platform.get("/crash")).status_code in (502, 503)

    async def healthy() -> bool:
        return (await platform.get()).status_code == 200

    await until(healthy)
    second = platform.pid
    assert second != first
    await platform.stop()
    assert gone(second)
    await platform.start()
    await until(healthy)


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait(10)


async def test_a_process_of_a_killed_run_is_ended_at_the_next_start(
    platform: Platform, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    left, stranger = (sleeper.pid for sleeper in sleepers)
    store = platform.kernel.store("kubernetes")
    store.put("process/aks-dev-weu/shop-dev/shop/1", {"pid": left, "started": started_at(left)})
    store.put("process/aks-dev-weu/shop-dev/shop/2", {"pid": stranger, "started": "Mon Jan  1 00:00:00 2024"})
    await platform.stop()
    await platform.start()
    assert gone(left)
    assert not gone(stranger)


async def test_removing_the_namespace_ends_what_runs_in_it(platform: Platform, context: Path) -> None:
    digest = await platform.registry.push(REPOSITORY, "1", context, context / "Dockerfile")
    platform.make_namespace()
    platform.make_record()
    await platform.clusters.apply("aks-dev-weu", "shop-dev", manifests(digest))
    pid = platform.pid
    platform.estate.remove(NAMESPACE_ID)

    async def ended() -> bool:
        return not platform.clusters.objects() and gone(pid)

    await until(ended)
    assert (await platform.get()).status_code == 404


async def test_what_is_missing_is_named(platform: Platform, context: Path) -> None:
    digest = await platform.registry.push(REPOSITORY, "1", context, context / "Dockerfile")

    async def refusal(objects: list[dict[str, Any]], cluster: str = "aks-dev-weu") -> str:
        with pytest.raises(KubernetesError) as caught:
            await platform.clusters.apply(cluster, "shop-dev", objects)
        return str(caught.value)

    assert "no such host" in await refusal(manifests(digest), "aks-none")
    assert 'namespaces "shop-dev" not found' in await refusal(manifests(digest))
    platform.make_namespace()
    assert 'configmap "settings" not found' in await refusal(manifests(digest)[1:])
    assert "ImagePullBackOff" in await refusal(manifests("sha256:" + "0" * 64))
    strange = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}]
    assert 'no matches for kind "Pod"' in await refusal(strange)
    foreign = [{**manifests(digest)[2], "metadata": {"name": "shop", "namespace": "other"}}]
    assert "does not match" in await refusal(foreign)


async def test_a_container_that_fails_shows_its_log(platform: Platform, context: Path) -> None:
    (context / "app" / "server.py").write_text("raise SystemExit('no settings')")
    digest = await platform.registry.push(REPOSITORY, "1", context, context / "Dockerfile")
    platform.make_namespace()
    with pytest.raises(KubernetesError, match=r"(?s)CrashLoopBackOff.*no settings"):
        await platform.clusters.apply("aks-dev-weu", "shop-dev", manifests(digest))


async def test_a_failed_roll_out_keeps_the_old_version(platform: Platform, context: Path) -> None:
    digest = await platform.registry.push(REPOSITORY, "1", context, context / "Dockerfile")
    platform.make_namespace()
    platform.make_record()
    await platform.clusters.apply("aks-dev-weu", "shop-dev", manifests(digest))
    with pytest.raises(KubernetesError):
        await platform.clusters.apply("aks-dev-weu", "shop-dev", manifests("sha256:" + "0" * 64))
    assert (await platform.get()).status_code == 200


async def test_digests_come_from_content_and_can_be_verified(platform: Platform, context: Path) -> None:
    push = platform.registry.push
    first = await push(REPOSITORY, "1", context, context / "Dockerfile")
    os.utime(context / "app" / "server.py", (1, 1))
    (context / "app" / "notes.md").write_text("ignored by .dockerignore")
    assert await push(REPOSITORY, "2", context, context / "Dockerfile") == first
    refused = await platform.get(f"/v2/shop/manifests/{first}", "crcontosodev.azurecr.io")
    assert refused.status_code == 403
    _may_read(platform)
    by_digest = await platform.get(f"/v2/shop/manifests/{first}", "crcontosodev.azurecr.io")
    assert by_digest.headers["Docker-Content-Digest"] == first
    by_tag = await platform.get("/v2/shop/manifests/2", "crcontosodev.azurecr.io")
    assert by_tag.content == by_digest.content
    assert (await platform.get("/v2/shop/manifests/3", "crcontosodev.azurecr.io")).status_code == 404
    assert (await platform.get(f"/v2/other/manifests/{first}", "crcontosodev.azurecr.io")).status_code == 403
    (context / "app" / "server.py").write_text("changed")
    assert await push(REPOSITORY, "2", context, context / "Dockerfile") != first


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("COPY app ./app", "COPY src ./app", '"/src": not found'),
        ("python:3.13-slim", "node:24", "one stage on python:3.13 only"),
        ("COPY requirements.txt ./", "", "was not copied"),
        ("EXPOSE 8080", "VOLUME /data", "does not know VOLUME"),
    ],
)
async def test_a_build_that_cannot_work_fails(platform: Platform, context: Path, old: str, new: str, told: str) -> None:
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(DOCKERFILE.replace(old, new))
    with pytest.raises(registry.BuildError, match=told):
        await platform.registry.push(REPOSITORY, "1", context, dockerfile)
    with pytest.raises(registry.BuildError, match="no such host"):
        await platform.registry.push("crother.azurecr.io/shop", "1", context, dockerfile)


def _assign(platform: Platform, role: str, scope: str, **properties: str) -> None:
    definitions = platform.estate.store.list("role-definition/")
    wanted = next(item["id"] for _, item in definitions if item["properties"]["roleName"] == role)
    place = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{role.replace(' ', '')}"
    kind = "Microsoft.Authorization/roleAssignments"
    platform.make(place, kind, principalId="pipeline", roleDefinitionId=wanted, scope=scope, **properties)


def _may_read(platform: Platform) -> None:
    platform.registry._store.put("refresh/secret", "pipeline")
    condition = "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase 'shop'"
    scope = platform.registry._registry_id("crcontosodev.azurecr.io")
    _assign(platform, "Container Registry Repository Reader", scope, condition=condition)


async def test_only_the_roles_that_azure_asks_for_open_cluster_and_namespace(platform: Platform) -> None:
    with pytest.raises(KubernetesError, match="Cluster User Role"):
        platform.clusters.require_user("aks-dev-weu", "pipeline")
    _assign(platform, "Azure Kubernetes Service Cluster User Role", CLUSTER_ID)
    platform.clusters.require_user("aks-dev-weu", "pipeline")
    with pytest.raises(KubernetesError, match="RBAC Writer"):
        platform.clusters.require_writer("aks-dev-weu", "shop-dev", "pipeline")
    _assign(platform, "Azure Kubernetes Service RBAC Writer", f"{CLUSTER_ID}/namespaces/shop-dev")
    platform.clusters.require_writer("aks-dev-weu", "shop-dev", "pipeline")
    for namespace, principal in (("shop-dev", "other"), ("shop-dev2", "pipeline")):
        with pytest.raises(KubernetesError, match="Forbidden"):
            platform.clusters.require_writer("aks-dev-weu", namespace, principal)


async def test_only_the_applications_own_repository_takes_its_images(platform: Platform) -> None:
    platform.registry._store.put("refresh/secret", "pipeline")
    with pytest.raises(registry.BuildError, match="denied"):
        platform.registry.require_writer(REPOSITORY, "secret")
    condition = "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase 'shop'"
    scope = platform.registry._registry_id("crcontosodev.azurecr.io")
    _assign(platform, "Container Registry Repository Writer", scope, condition=condition)
    platform.registry.require_writer(REPOSITORY, "secret")
    for repository, token in ((f"{REPOSITORY}-2", "secret"), (REPOSITORY, "")):
        with pytest.raises(registry.BuildError, match="denied"):
            platform.registry.require_writer(repository, token)


JOB = """
import json, os, sys, urllib.parse, urllib.request
if sys.argv[1] == "fail":
    sys.exit("there is no input")
form = {
    "grant_type": "client_credentials",
    "client_id": os.environ["AZURE_CLIENT_ID"],
    "scope": "https://storage.azure.com/.default",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]).read(),
}
url = os.environ["AZURE_AUTHORITY_HOST"] + os.environ["AZURE_TENANT_ID"] + "/oauth2/v2.0/token"
with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=10) as answer:
    print("got a", json.load(answer)["token_type"], "token")
"""
IDENTITY = (
    f"{SUBSCRIPTION}/resourceGroups/rg-platform-dev/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop"
)
ISSUER = "https://westeurope.oic.prod-aks.azure.com/11111111-1111-1111-1111-111111111111/aks-dev-weu/"


def job(digest: str, what: str) -> list[dict[str, Any]]:
    container = {
        "name": "job",
        "image": f"{REPOSITORY}@{digest}",
        "command": ["python", "-m", "app.job"],
        "args": [what],
    }
    template = {
        "metadata": {"labels": {"azure.workload.identity/use": "true"}},
        "spec": {"serviceAccountName": "shop", "containers": [container]},
    }
    annotations = {"azure.workload.identity/client-id": "client-of-shop"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shop", "annotations": annotations}},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": what},
            "spec": {"backoffLimit": 1, "template": template},
        },
    ]


async def _ended(platform: Platform, name: str) -> dict[str, Any]:
    place = kubernetes.Place("aks-dev-weu", "shop-dev", name)

    async def look() -> bool:
        return bool(platform.clusters.jobs.status(place).get("conditions"))

    await until(look)
    status: dict[str, Any] = platform.clusters.jobs.status(place)
    return status


async def test_a_job_acts_as_the_identity_that_trusts_its_service_account_and_no_other(
    platform: Platform, context: Path
) -> None:
    (context / "app" / "job.py").write_text(JOB)
    digest = await platform.registry.push(REPOSITORY, "1", context, context / "Dockerfile")
    platform.make_namespace()
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    platform.make(IDENTITY, kind, clientId="client-of-shop", principalId="principal-of-shop")
    trust: dict[str, Any] = {"issuer": ISSUER, "audiences": ["api://AzureADTokenExchange"]}
    credential = f"{IDENTITY}/federatedIdentityCredentials/aks"
    platform.make(
        credential, f"{kind}/federatedIdentityCredentials", subject="system:serviceaccount:other:shop", **trust
    )
    lines = await platform.clusters.apply("aks-dev-weu", "shop-dev", job(digest, "first"))
    assert lines == ["serviceaccount/shop created", "job.batch/first created"]
    refused = await _ended(platform, "first")
    assert (refused["conditions"][0]["type"], refused["failed"]) == ("Failed", 2)
    platform.make(
        credential, f"{kind}/federatedIdentityCredentials", subject="system:serviceaccount:shop-dev:shop", **trust
    )
    await platform.clusters.apply("aks-dev-weu", "shop-dev", job(digest, "second"))
    done = await _ended(platform, "second")
    assert (done["conditions"][0]["type"], done["failed"]) == ("Complete", 0)
    assert "got a Bearer token" in done["~log"]


async def test_a_failed_job_stays_failed_and_shows_its_log(platform: Platform, context: Path) -> None:
    (context / "app" / "job.py").write_text(JOB)
    digest = await platform.registry.push(REPOSITORY, "1", context, context / "Dockerfile")
    platform.make_namespace()
    await platform.clusters.apply("aks-dev-weu", "shop-dev", job(digest, "fail"))
    status = await _ended(platform, "fail")
    assert (status["conditions"][0]["type"], status["failed"], status["succeeded"]) == ("Failed", 2, 0)
    assert "there is no input" in status["~log"]
    await platform.stop()
    await platform.start()
    assert (await _ended(platform, "fail"))["failed"] == 2
    answer = await platform.get("/apis/batch/v1/namespaces/shop-dev/jobs/fail", "aks-dev-weu.hcp.westeurope.azmk8s.io")
    assert answer.status_code == 403, "without a token nobody sees it"
