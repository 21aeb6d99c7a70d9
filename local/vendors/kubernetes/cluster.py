"""The clusters' API: objects by namespace, and Deployments rolled out as processes."""

import asyncio
from dataclasses import dataclass
from typing import Any

from local.processes import end_group, started_at
from local.vendors.kernel import Kernel
from local.vendors.kernel.signing import SigningKey

from . import identity as workload_identity
from .jobs import Jobs
from .pods import Pod, PodError, pull

Manifest = dict[str, Any]
KINDS = {  # kind: (API version, the name kubectl prints)
    "Namespace": ("v1", "namespace"),
    "ServiceAccount": ("v1", "serviceaccount"),
    "ConfigMap": ("v1", "configmap"),
    "Service": ("v1", "service"),
    "Deployment": ("apps/v1", "deployment.apps"),
    "Ingress": ("networking.k8s.io/v1", "ingress.networking.k8s.io"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicy.networking.k8s.io"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscaler.autoscaling"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudget.policy"),
    "Job": ("batch/v1", "job.batch"),
    "CronJob": ("batch/v1", "cronjob.batch"),
    "ScaledObject": ("keda.sh/v1alpha1", "scaledobject.keda.sh"),
    "TriggerAuthentication": ("keda.sh/v1alpha1", "triggerauthentication.keda.sh"),
}
CLUSTER_TYPE = "Microsoft.ContainerService/managedClusters"
ROLLOUT_SECONDS = 60.0
SWEEP_SECONDS = 1.0


class KubernetesError(Exception):
    """The API server refuses, or a rollout fails; the text is what kubectl would print."""


@dataclass(frozen=True)
class Place:
    """One Deployment's place: cluster, namespace, name."""

    cluster: str
    namespace: str
    name: str

    def key(self, kind: str) -> str:
        return f"object/{self.cluster}/{self.namespace}/{kind}/{self.name}"


class Clusters:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("kubernetes")
        self.pods: dict[Place, Pod] = {}
        self._templates: dict[Place, Manifest] = {}
        self._key = SigningKey(self._store)
        self.oidc_keys = self._key.key_set
        self.jobs = Jobs(kernel, self._store, self._pod)

    async def apply(self, cluster: str, namespace: str, manifests: list[Manifest]) -> list[str]:
        """Apply manifests as `kubectl apply` does and wait for the rollouts; what changed, line by line.

        Raises:
            KubernetesError: no such cluster or namespace, an object that does not fit, a rollout that fails.
        """
        self._require_namespace(cluster, namespace)
        for manifest in manifests:
            self._check(cluster, namespace, manifest)
        lines = [self._save(cluster, namespace, manifest) for manifest in manifests]
        for manifest in manifests:
            if manifest["kind"] == "Deployment":
                place = Place(cluster, namespace, manifest["metadata"]["name"])
                await self.roll_out(place, manifest)
                lines.append(f'deployment "{place.name}" successfully rolled out')
            elif manifest["kind"] == "Job":
                self.jobs.begin(Place(cluster, namespace, manifest["metadata"]["name"]), manifest)
        return lines

    def require_user(self, cluster: str, principal: str) -> None:
        """Demand the role that may fetch the cluster's credentials.

        Raises:
            KubernetesError: the principal may not, in the Azure CLI's words.
        """
        self._require_role(
            principal, "Azure Kubernetes Service Cluster User Role", self._cluster_ids().get(cluster, "")
        )

    def require_writer(self, cluster: str, namespace: str, principal: str) -> None:
        """Demand the role that may change what is in a namespace (Azure RBAC for Kubernetes).

        Raises:
            KubernetesError: the principal may not.
        """
        scope = f"{self._cluster_ids().get(cluster)}/namespaces/{namespace}"
        self._require_role(principal, "Azure Kubernetes Service RBAC Writer", scope)

    def _require_role(self, principal: str, role: str, scope: str) -> None:
        if not self._kernel.vendor("arm").assignments(principal, role, scope):
            raise KubernetesError(f"Forbidden: {principal} does not have access: no role {role} at {scope}")

    def objects(self, cluster: str = "", namespace: str = "", kind: str = "") -> list[tuple[Place, Manifest]]:
        """What was applied, by cluster, namespace and kind where given."""
        found = [(key.split("/"), manifest) for key, manifest in self._store.list("object/")]
        wanted = (cluster, namespace, kind)
        return [
            (Place(parts[1], parts[2], parts[4]), manifest)
            for parts, manifest in found
            if all(not want or want == part for want, part in zip(wanted, parts[1:4], strict=True))
        ]

    async def roll_out(self, place: Place, manifest: Manifest) -> None:
        """Start the new pod, and only when it is ready stop the old one."""
        running = self.pods.get(place)
        template = manifest["spec"]["template"]
        if running and running.ready and self._templates.get(place) == template:
            return
        try:
            pod = await self._pod(place, template)
            await pod.launch()
            self._remember(place, pod)
            try:
                await pod.wait_ready(ROLLOUT_SECONDS)
            except PodError:
                await pod.stop()
                raise
        except PodError as error:
            raise KubernetesError(f'deployment "{place.name}" exceeded its progress deadline: {error}') from error
        self.pods[place], self._templates[place] = pod, template
        pod.supervise(self._kernel, ROLLOUT_SECONDS)
        if running:
            await running.stop()

    async def start(self) -> None:
        """End what an earlier run left behind, start again what was deployed, follow what ARM removes."""
        for key, identity in list(self._store.list("process/")):
            if identity["started"] and started_at(identity["pid"]) == identity["started"]:
                await asyncio.to_thread(end_group, identity["pid"], 2.0)
            self._store.delete(key)
        for place, manifest in self.objects(kind="Deployment"):
            self._kernel.spawn(self.bring_up(place, manifest), f"deployment {place.namespace}/{place.name}")
        for place, manifest in self.objects(kind="Job"):
            self.jobs.begin(place, manifest)
        self._kernel.spawn(self._sweep(), "namespaces")

    async def stop(self) -> None:
        pods, self.pods = list(self.pods.values()), {}
        await asyncio.gather(*(pod.stop() for pod in pods))

    async def bring_up(self, place: Place, manifest: Manifest) -> None:
        """Roll out without anybody who waits for it."""
        try:
            await self.roll_out(place, manifest)
        except KubernetesError as error:
            # As in a cluster: the Deployment stays and its pod does not run; the next apply says why.
            self._store.put(f"event/{place.namespace}/{place.name}", str(error))

    async def _sweep(self) -> None:
        """Remove what lies in namespaces that no longer exist."""
        while True:
            kept = list(self.objects())
            homes = {(place.cluster, place.namespace) for place, _ in kept}
            clusters = self._cluster_ids() if homes else {}
            gone = {home for home in homes if not self._has_namespace(clusters.get(home[0]), home[1])}
            for place, manifest in kept:
                if manifest["kind"] != "Namespace" and (place.cluster, place.namespace) in gone:
                    self._store.delete(place.key(manifest["kind"]))
                    self.jobs.forget(place)
                    if manifest["kind"] == "Deployment" and (pod := self.pods.pop(place, None)):
                        await pod.stop()
            await asyncio.sleep(SWEEP_SECONDS)

    async def _pod(self, place: Place, template: Manifest) -> Pod:
        container = template["spec"]["containers"][0]
        image = await pull(self._kernel, container["image"])
        own = dict(part.split("=", 1) for part in image.config["Env"])
        variables = self._kernel.child_environment() | own | self._variables(place, container)
        variables |= self._identity(place, template)
        log = self._kernel.data_dir / "kubernetes" / "logs" / place.namespace / f"{place.name}.log"
        return Pod(f"{place.namespace}/{place.name}", container, image, variables, log)

    def _identity(self, place: Place, template: Manifest) -> dict[str, str]:
        """The token of the pod's service account, where its label asks for one."""
        name = template["spec"].get("serviceAccountName", "default")
        account = self._store.get(Place(place.cluster, place.namespace, name).key("ServiceAccount")) or {}
        described = {"metadata": {**account.get("metadata", {}), "name": name, "namespace": place.namespace}}
        cluster = self._kernel.vendor("arm").resource(self._cluster_ids()[place.cluster])
        issuer = cluster["properties"].get("oidcIssuerProfile", {}).get("issuerURL", "")
        folder = self._kernel.data_dir / "kubernetes" / "tokens" / place.namespace / place.name
        return workload_identity.variables(self._key, issuer, described, template, folder)

    def server(self, cluster: str) -> str:
        """Host name of a cluster's API."""
        return str(self._kernel.vendor("arm").resource(self._cluster_ids()[cluster])["properties"]["fqdn"])

    def _variables(self, place: Place, container: Manifest) -> dict[str, str]:
        variables: dict[str, str] = {}
        for item in container.get("envFrom", []):
            variables |= self._config(place, item.get("configMapRef", {}).get("name", ""))
        for item in container.get("env", []):
            source = item.get("valueFrom", {}).get("configMapKeyRef")
            if "valueFrom" in item and source is None:
                raise PodError(f"CreateContainerConfigError: {item['name']}: only configMapKeyRef is offered here")
            value = self._config(place, source["name"]).get(source["key"]) if source else item.get("value", "")
            if value is None:
                raise PodError(f"CreateContainerConfigError: couldn't find key {source['key']} in {source['name']}")
            variables[item["name"]] = value
        return variables

    def _config(self, place: Place, name: str) -> dict[str, str]:
        found = self._store.get(Place(place.cluster, place.namespace, name).key("ConfigMap"))
        if found is None:
            raise PodError(f'CreateContainerConfigError: configmap "{name}" not found')
        return dict(found.get("data", {}))

    def _check(self, cluster: str, namespace: str, manifest: Manifest) -> None:
        kind, version = manifest.get("kind", ""), manifest.get("apiVersion", "")
        name = manifest.get("metadata", {}).get("name")
        if KINDS.get(kind, ("",))[0] != version:
            raise KubernetesError(f'no matches for kind "{kind}" in version "{version}"')
        if not name:
            raise KubernetesError(f"{kind}: resource name may not be empty")
        given = manifest["metadata"].get("namespace", namespace)
        if given != namespace and kind != "Namespace":
            raise KubernetesError(f'the namespace from the provided object "{given}" does not match "{namespace}"')
        hosts = {rule.get("host") for rule in manifest.get("spec", {}).get("rules", [])} if kind == "Ingress" else set()
        for place, other in self.objects(cluster, kind="Ingress") if hosts else []:
            taken = hosts & {rule.get("host") for rule in other["spec"]["rules"]}
            if taken and place != Place(cluster, namespace, name):
                raise KubernetesError(
                    f'host "{min(taken)}" is already defined in ingress {place.namespace}/{place.name}'
                )

    def _save(self, cluster: str, namespace: str, manifest: Manifest) -> str:
        key = Place(cluster, namespace, manifest["metadata"]["name"]).key(manifest["kind"])
        before = self._store.get(key)
        self._store.put(key, manifest)
        done = "created" if before is None else "unchanged" if before == manifest else "configured"
        return f"{KINDS[manifest['kind']][1]}/{manifest['metadata']['name']} {done}"

    def _require_namespace(self, cluster: str, namespace: str) -> None:
        cluster_id = self._cluster_ids().get(cluster)
        if cluster_id is None:
            raise KubernetesError(f"Unable to connect to the server: dial tcp: lookup {cluster}: no such host")
        if not self._has_namespace(cluster_id, namespace):
            raise KubernetesError(f'Error from server (NotFound): namespaces "{namespace}" not found')

    def _has_namespace(self, cluster_id: str | None, namespace: str) -> bool:
        """A namespace exists when ARM has made it (managedNamespaces)."""
        found = self._kernel.vendor("arm").resource(f"{cluster_id}/managedNamespaces/{namespace}")
        return found is not None and found["properties"]["provisioningState"] in ("Succeeded", "Updating")

    def _cluster_ids(self) -> dict[str, str]:
        """ARM ids of the clusters by their names."""
        return {item["name"]: item["id"] for item in self._kernel.vendor("arm").resources(kind=CLUSTER_TYPE)}

    def _remember(self, place: Place, pod: Pod) -> None:
        if pod.process is not None:
            identity = {"pid": pod.process.pid, "started": started_at(pod.process.pid)}
            self._store.put(f"process/{place.cluster}/{place.namespace}/{place.name}/{pod.process.pid}", identity)
