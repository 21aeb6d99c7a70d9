"""What a stand-in is, and which one answers for a host name."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRuleMatching, MatchedSubAppResource


@dataclass
class Vendor:
    """A stand-in for one system.

    `hosts` are names, wildcards ("*.vault.azure.net", any number of labels) or one path of a host
    ("api.github.com/graphql"); the most specific one wins. `claims` is asked for hosts that no stand-in names.
    `takes` is asked before all host names, and picks single calls: pages on hosts whose API another stand-in answers.
    `public` is what other stand-ins may call in this process.
    `secret_fields` are JSON members (lower case) that the journal must not keep. `pages` are routes for people, on host
    localhost below /_vendors.
    """

    name: str
    hosts: tuple[str, ...]
    routes: list[web.RouteDef]
    public: object = None
    start: Callable[[], Awaitable[None]] | None = None
    stop: Callable[[], Awaitable[None]] | None = None
    drain: Callable[[], Awaitable[None]] | None = None
    claims: Callable[[str], bool] | None = None
    takes: Callable[[web.Request], bool] | None = None
    secret_fields: frozenset[str] = field(default=frozenset())
    pages: list[web.RouteDef] = field(default_factory=list)


class Directory:
    """Finds the stand-in of a host name, or of one path below it."""

    def __init__(self, vendors: Iterable[Vendor]) -> None:
        self._vendors = tuple(vendors)
        self._exact = {host: vendor for vendor in self._vendors for host in vendor.hosts if not host.startswith("*.")}
        wildcards = [(host[1:], vendor) for vendor in self._vendors for host in vendor.hosts if host.startswith("*.")]
        self._suffixes = sorted(wildcards, key=lambda pair: -len(pair[0]))

    def of(self, request: web.Request) -> Vendor | None:
        """The stand-in that answers a call."""
        taking = (vendor for vendor in self._vendors if vendor.takes is not None and vendor.takes(request))
        return next(taking, None) or self.find(host_of(request), request.path)

    def find(self, host: str, path: str = "") -> Vendor | None:
        if found := self._exact.get(f"{host}{path}") or self._exact.get(host):
            return found
        for suffix, vendor in self._suffixes:
            if host.endswith(suffix):
                return vendor
        for vendor in self._vendors:
            if vendor.claims is not None and vendor.claims(host):
                return vendor
        return None


class Rule(AbstractRuleMatching):
    """The requests that one set of routes answers."""

    def __init__(self, name: str, fits: Callable[[web.Request], bool]) -> None:
        self._name = name
        self._fits = fits

    def get_info(self) -> dict[str, Any]:  # type: ignore[override]
        return {"name": self._name}

    async def match(self, request: web.Request) -> bool:
        return self._fits(request)

    @property
    def canonical(self) -> str:
        return self._name


def host_of(request: web.BaseRequest) -> str:
    """The host name a request is for, without the port."""
    return request.host.rpartition(":")[0].lower() if ":" in request.host else request.host.lower()


def mount(
    application: web.Application, name: str, fits: Callable[[web.Request], bool], routes: Iterable[web.RouteDef]
) -> None:
    """Let routes answer for the requests that fit, and no others for them. The first mounted is asked first."""
    part = web.Application()
    part.add_routes(routes)
    part.freeze()
    application.router.register_resource(MatchedSubAppResource(Rule(name, fits), part))
