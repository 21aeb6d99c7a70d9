"""Stand-in for the AKS clusters and their ingress: what is deployed runs, and answers under its DNS name."""

from collections.abc import Mapping

import aiohttp
from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .cluster import Clusters, KubernetesError, Place

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-encoding"})

__all__ = ["Clusters", "KubernetesError", "Place", "build"]


class Ingress:
    """Answers for the names of applications, as DNS, the ingress controller and the pods together do."""

    def __init__(self, kernel: Kernel, clusters: Clusters) -> None:
        self._kernel = kernel
        self._clusters = clusters

    def claims(self, host: str) -> bool:
        """Every name in a DNS zone that ARM holds, whether it resolves or not."""
        try:
            return bool(self._kernel.vendor("arm").has_zone(host))
        except LookupError:
            return False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        host = request.host.partition(":")[0].lower()
        record = self._kernel.vendor("arm").dns_record(host)
        if record is None:
            return web.Response(status=502, text=f"NXDOMAIN: {host} does not resolve\n")
        target = record["properties"].get("CNAMERecord", {}).get("cname", "").rstrip(".")
        if target.endswith(".azurestaticapps.net"):
            answer: web.StreamResponse = await self._kernel.vendor("static_sites").answer(request, host)
            return answer
        place = self._place(host, target)
        if place is None:
            return web.Response(status=404, text="default backend - 404\n")
        pod = self._clusters.pods.get(place)
        if pod is None or not pod.ready:
            return web.Response(status=503, text="503 Service Temporarily Unavailable\n")
        return await _forward(request, pod.port)

    async def job(self, request: web.Request) -> web.StreamResponse:
        """A Job by the cluster's API, for whoever may write in its namespace."""
        cluster = request.host.partition(".")[0]
        place = Place(cluster, request.match_info["namespace"], request.match_info["name"])
        token = request.headers.get("Authorization", "").partition(" ")[2]
        try:
            self._clusters.require_writer(cluster, place.namespace, self._kernel.vendor("entra").verify(token)["oid"])
        except (ValueError, KubernetesError) as error:
            return web.json_response({"kind": "Status", "code": 403, "message": str(error)}, status=403)
        manifest = dict(self._clusters.objects(cluster, place.namespace, "Job")).get(place)
        return await self._clusters.jobs.answer(request, place, manifest)

    def _place(self, host: str, target: str) -> Place | None:
        """The Deployment behind Ingress and Service for this host, on the cluster that the record points to."""
        for ingress, manifest in self._clusters.objects(kind="Ingress"):
            if target != f"ingress.{ingress.cluster}.contoso.com":
                continue
            for rule in manifest["spec"]["rules"]:
                if rule.get("host") == host:
                    service = rule["http"]["paths"][0]["backend"]["service"]["name"]
                    return self._behind(ingress, service)
        return None

    def _behind(self, ingress: Place, service: str) -> Place | None:
        found = dict(self._clusters.objects(ingress.cluster, ingress.namespace, "Service"))
        selector = found.get(Place(ingress.cluster, ingress.namespace, service), {}).get("spec", {}).get("selector", {})
        for place, manifest in self._clusters.objects(ingress.cluster, ingress.namespace, "Deployment"):
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            if selector and selector.items() <= labels.items():
                return place
        return None


async def _forward(request: web.Request, port: int) -> web.StreamResponse:
    headers = _end_to_end(request.headers) | {"X-Forwarded-Proto": "https", "X-Forwarded-Host": request.host}
    url = f"http://127.0.0.1:{port}{request.raw_path}"
    body = await request.read()
    try:
        async with (
            aiohttp.ClientSession(auto_decompress=True) as session,
            session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer,
        ):
            return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=await answer.read())
    except aiohttp.ClientError:
        return web.Response(status=502, text="502 Bad Gateway\n")


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP | {"content-length"}}


def build(kernel: Kernel) -> Vendor:
    clusters = Clusters(kernel)
    ingress = Ingress(kernel, clusters)
    return Vendor(
        name="kubernetes",
        hosts=("*.azmk8s.io",),
        routes=[
            web.get("/apis/batch/v1/namespaces/{namespace}/jobs/{name}", ingress.job),
            web.get("/apis/batch/v1/namespaces/{namespace}/jobs/{name}/log", ingress.job),
            web.route("*", "/{path:.*}", ingress.handle),
        ],
        public=clusters,
        start=clusters.start,
        stop=clusters.stop,
        claims=ingress.claims,
    )
