"""The provider registry.terraform.io/hashicorp/azurerm as a gRPC service, over the ARM stand-in.

Terraform reattaches to it (TF_REATTACH_PROVIDERS), so that one running service serves every run on this machine; each
connection keeps the configuration of its own run.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

from . import quirks
from .client import TENANT, ArmClient, ProviderError
from .mapping import KINDS, Kind, State, arm_path, body_of, id_of, names_in, same, state_of, unsupported, with_defaults
from .wire import Block, conform, is_unknown, known, mark_unknown, read, resolve, schema, write

type Context = grpc.ServicerContext
CAPABILITIES = pb.ServerCapabilities(plan_destroy=True, get_provider_schema_optional=True)
MAX_CONNECTIONS = 256


# ruff: noqa: N802 - the names of the calls are those of the protocol
class Provider(rpc.ProviderServicer):  # type: ignore[misc]
    """The service. `load` gives the provider's schema (schema.py); it may take its time at the first call."""

    def __init__(self, client: ArmClient, load: Callable[[], dict[str, Any]]) -> None:
        self._client = client
        self._load = load
        self._configurations: dict[str, State] = {}

    def GetMetadata(self, _request: pb.GetMetadata.Request, _context: Context) -> pb.GetMetadata.Response:
        described = self._load()
        return pb.GetMetadata.Response(
            server_capabilities=CAPABILITIES,
            resources=[pb.GetMetadata.ResourceMetadata(type_name=name) for name in described["resource_schemas"]],
            data_sources=[
                pb.GetMetadata.DataSourceMetadata(type_name=name) for name in described["data_source_schemas"]
            ],
        )

    def GetProviderSchema(
        self, _request: pb.GetProviderSchema.Request, _context: Context
    ) -> pb.GetProviderSchema.Response:
        described = self._load()
        return pb.GetProviderSchema.Response(
            provider=schema(described["provider"]["block"]),
            provider_meta=pb.Schema(block=pb.Schema.Block()),
            resource_schemas={name: schema(item["block"]) for name, item in described["resource_schemas"].items()},
            data_source_schemas={
                name: schema(item["block"]) for name, item in described["data_source_schemas"].items()
            },
            server_capabilities=CAPABILITIES,
        )

    def ValidateProviderConfig(
        self, _request: pb.ValidateProviderConfig.Request, _context: Context
    ) -> pb.ValidateProviderConfig.Response:
        return pb.ValidateProviderConfig.Response()

    def ConfigureProvider(
        self, request: pb.ConfigureProvider.Request, context: Context
    ) -> pb.ConfigureProvider.Response:
        config = read(request.config) or {}
        if not config.get("subscription_id"):
            told = "`subscription_id` is a required provider property when performing a plan/apply operation"
            return pb.ConfigureProvider.Response(diagnostics=_problem(told))
        while len(self._configurations) >= MAX_CONNECTIONS:
            del self._configurations[next(iter(self._configurations))]
        self._configurations[context.peer()] = config
        return pb.ConfigureProvider.Response()

    def ValidateResourceConfig(
        self, request: pb.ValidateResourceConfig.Request, _context: Context
    ) -> pb.ValidateResourceConfig.Response:
        kind, config = KINDS[request.type_name], read(request.config)
        told = [*_failed_checks(kind, config)]
        told += [f"the stand-in for {request.type_name} does not know {name}" for name in unsupported(kind, config)]
        return pb.ValidateResourceConfig.Response(diagnostics=[item for text in told for item in _problem(text)])

    def ValidateDataResourceConfig(
        self, _request: pb.ValidateDataResourceConfig.Request, _context: Context
    ) -> pb.ValidateDataResourceConfig.Response:
        return pb.ValidateDataResourceConfig.Response()

    def UpgradeResourceState(
        self, request: pb.UpgradeResourceState.Request, _context: Context
    ) -> pb.UpgradeResourceState.Response:
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request: pb.ReadResource.Request, _context: Context) -> pb.ReadResource.Response:
        """What exists now: null when it is gone; values that only look different stay as they are."""
        state = read(request.current_state)
        try:
            found = self._fetch(request.type_name, state["id"])
        except ProviderError as error:
            return pb.ReadResource.Response(new_state=request.current_state, diagnostics=_problem(str(error)))
        if found is None:
            return pb.ReadResource.Response(new_state=write(None))
        changed = {name: value for name, value in found.items() if not same(value, state.get(name))}
        block = self._block(request.type_name)
        return pb.ReadResource.Response(new_state=write(conform(block, {**state, **changed})), private=request.private)

    def PlanResourceChange(
        self, request: pb.PlanResourceChange.Request, _context: Context
    ) -> pb.PlanResourceChange.Response:
        prior, proposed = read(request.prior_state), read(request.proposed_new_state)
        if proposed is None:
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        kind, block = KINDS[request.type_name], self._block(request.type_name)
        planned = mark_unknown(block, with_defaults(kind, proposed), creating=prior is None)
        if prior and prior.get("purge_protection_enabled") and planned.get("purge_protection_enabled") is False:
            told = f'updating "{prior["id"]}": once Purge Protection has been Enabled it\'s not possible to disable it'
            return pb.PlanResourceChange.Response(diagnostics=_problem(told))
        return pb.PlanResourceChange.Response(
            planned_state=write(planned),
            requires_replace=[*_replaced(kind, prior, planned)] if prior else [],
            legacy_type_system=True,
        )

    def ApplyResourceChange(
        self, request: pb.ApplyResourceChange.Request, context: Context
    ) -> pb.ApplyResourceChange.Response:
        prior, planned = read(request.prior_state), read(request.planned_state)
        kept = prior
        try:
            if planned is None:
                self._delete(request.type_name, prior, context)
                return pb.ApplyResourceChange.Response(new_state=write(None))
            if prior is None:
                planned = self._create(request.type_name, planned, context)
            else:
                self._put(request.type_name, prior["id"], planned, "updating")
            kept = resolve(planned, self._fetch(request.type_name, planned["id"]))
        except ProviderError as error:
            return pb.ApplyResourceChange.Response(
                new_state=write(kept), diagnostics=_problem(str(error)), legacy_type_system=True
            )
        block = self._block(request.type_name)
        return pb.ApplyResourceChange.Response(new_state=write(conform(block, kept)), legacy_type_system=True)

    def ReadDataSource(self, request: pb.ReadDataSource.Request, context: Context) -> pb.ReadDataSource.Response:
        config, subscription = read(request.config), self._subscription(context)
        block = self._load()["data_source_schemas"][request.type_name]["block"]
        try:
            found = self._look_up(request.type_name, config, subscription)
        except ProviderError as error:
            return pb.ReadDataSource.Response(diagnostics=_problem(str(error)))
        return pb.ReadDataSource.Response(state=write(conform(block, {**config, **found})))

    def ImportResourceState(
        self, request: pb.ImportResourceState.Request, _context: Context
    ) -> pb.ImportResourceState.Response:
        try:
            found = self._fetch(request.type_name, request.id)
        except (ProviderError, ValueError) as error:
            return pb.ImportResourceState.Response(diagnostics=_problem(str(error)))
        if found is None:
            return pb.ImportResourceState.Response(diagnostics=_problem(f'"{request.id}" was not found'))
        state = write(conform(self._block(request.type_name), found))
        imported = pb.ImportResourceState.ImportedResource(type_name=request.type_name, state=state)
        return pb.ImportResourceState.Response(imported_resources=[imported])

    def StopProvider(self, _request: pb.StopProvider.Request, _context: Context) -> pb.StopProvider.Response:
        """Advice only: what is under way finishes, so that nothing made is missing from the state."""
        return pb.StopProvider.Response()

    def GetFunctions(self, _request: pb.GetFunctions.Request, _context: Context) -> pb.GetFunctions.Response:
        return pb.GetFunctions.Response()

    def _create(self, name: str, planned: State, context: Context) -> State:
        kind, subscription = KINDS[name], self._subscription(context)
        state = quirks.before_create(self._client, name, known(planned), self._features(context), subscription)
        resource_id = id_of(kind, state, subscription)
        if self._client.get(arm_path(kind, resource_id), kind["api_version"]) is not None:
            raise ProviderError(
                f'A resource with the ID "{resource_id}" already exists - to be managed via Terraform this resource '
                "needs to be imported into the State. Please see the resource documentation for "
                f'"{name}" for more information.'
            )
        self._put(name, resource_id, state, "creating")
        found = {key: state[key] for key, value in planned.items() if is_unknown(value) and state.get(key) is not None}
        return {**planned, **found, "id": resource_id}

    def _put(self, name: str, resource_id: str, state: State, verb: str) -> None:
        body = body_of(KINDS[name], known(state))
        if state.get("~recover"):
            body["properties"]["createMode"] = "recover"
        self._client.put(arm_path(KINDS[name], resource_id), KINDS[name]["api_version"], body, verb)

    def _delete(self, name: str, state: State, context: Context) -> None:
        kind, features = KINDS[name], self._features(context)
        quirks.before_delete(self._client, name, state, features)
        self._client.delete(arm_path(kind, state["id"]), kind["api_version"])
        quirks.after_delete(self._client, name, state, features, self._subscription(context))

    def _fetch(self, name: str, resource_id: str) -> State | None:
        kind = KINDS[name]
        document = self._client.get(arm_path(kind, resource_id), kind["api_version"])
        if document is None:
            return None
        names = names_in(kind, resource_id)
        names.pop("subscription_id", None)
        return quirks.after_read(self._client, name, {"id": resource_id, **names, **state_of(kind, document)})

    def _look_up(self, name: str, config: State, subscription: str) -> State:
        if name == "azurerm_client_config":
            who = {"tenant_id": TENANT, "subscription_id": subscription, "object_id": self._client.object_id()}
            return {**who, "id": f"{TENANT}/{subscription}", "client_id": self._client.object_id()}
        kind = KINDS.get(f"data.{name}") or KINDS[name]
        resource_id = id_of(kind, config, subscription)
        document = self._client.get(resource_id, kind["api_version"])
        if document is None:
            raise ProviderError(f'{kind["title"]} ("{resource_id}") was not found')
        return {**state_of(kind, document), "id": resource_id}

    def _block(self, name: str) -> Block:
        return dict(self._load()["resource_schemas"][name]["block"])

    def _subscription(self, context: Context) -> str:
        return str(self._configurations[context.peer()]["subscription_id"])

    def _features(self, context: Context) -> dict[str, Any]:
        """The features block: {"key_vault": {...set values...}}."""
        blocks = (self._configurations[context.peer()].get("features") or [{}])[0]
        return {
            name: {key: value for key, value in items[0].items() if value is not None}
            for name, items in blocks.items()
            if isinstance(items, list) and items
        }


def _problem(text: str) -> list[pb.Diagnostic]:
    return [pb.Diagnostic(severity=pb.Diagnostic.ERROR, summary=text)]


def _failed_checks(kind: Kind, config: State) -> Iterator[str]:
    for name, pattern in kind.get("checks", {}).items():
        value = config.get(name)
        text = str(int(value)) if isinstance(value, float) else str(value)
        if value is not None and not is_unknown(value) and not re.fullmatch(pattern, text):
            yield f'expected {name} to match "{pattern}", got {value}'


def _replaced(kind: Kind, prior: State, planned: State) -> Iterator[pb.AttributePath]:
    """What cannot be changed in place."""
    for path in kind["force_new"]:
        block, _, name = path.rpartition(".")
        old, new = (prior[block], planned[block]) if block else ([prior], [planned])
        if old and new and not same(old[0].get(name), new[0].get(name)):
            steps = [pb.AttributePath.Step(attribute_name=block), pb.AttributePath.Step(element_key_int=0)]
            last = pb.AttributePath.Step(attribute_name=name)
            yield pb.AttributePath(steps=[*(steps if block else []), last])
