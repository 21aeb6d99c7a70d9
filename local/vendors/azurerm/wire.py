"""Values and schemas on the wire between Terraform and a provider (tfplugin6, msgpack)."""

import json
from typing import Any

import msgpack
from tf.gen import tfplugin_pb2 as pb

from .mapping import State

UNKNOWN = msgpack.ExtType(0, b"\x00")
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
SECRET = ("password", "client_secret", "shared_key", "kube_config_raw", "kube_admin_config_raw", "client_certificate")
Block = dict[str, Any]


def is_unknown(value: Any) -> bool:
    return isinstance(value, msgpack.ExtType)


def known(value: Any) -> Any:
    """The value with null for everything that is unknown."""
    if isinstance(value, dict):
        return {name: known(item) for name, item in value.items()}
    if isinstance(value, list):
        return [known(item) for item in value]
    return None if is_unknown(value) else value


def read(value: pb.DynamicValue) -> Any:
    if value.msgpack:
        return msgpack.unpackb(value.msgpack, ext_hook=msgpack.ExtType, strict_map_key=False)
    return json.loads(value.json) if value.json else None


def write(value: Any) -> pb.DynamicValue:
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def schema(block: Block) -> pb.Schema:
    return pb.Schema(version=0, block=_block(block))


def _block(block: Block) -> pb.Schema.Block:
    attributes = [
        pb.Schema.Attribute(
            name=name,
            type=json.dumps(spec["type"]).encode(),
            required=spec.get("required", False),
            optional=spec.get("optional", False),
            computed=spec.get("computed", False),
            sensitive=name.endswith(SECRET),
        )
        for name, spec in sorted(block["attributes"].items())
    ]
    nested = [
        pb.Schema.NestedBlock(
            type_name=name,
            block=_block(spec["block"]),
            nesting=NESTING[spec["nesting_mode"]],
            min_items=spec.get("min_items", 0),
            max_items=spec.get("max_items", 0),
        )
        for name, spec in sorted(block["block_types"].items())
    ]
    return pb.Schema.Block(version=0, attributes=attributes, block_types=nested)


def conform(block: Block, value: State) -> State:
    """Every attribute and block of the schema, in its shape: what is not there is null or empty."""
    result: State = {name: value.get(name) for name in block["attributes"]}
    for name, spec in block["block_types"].items():
        single = spec["nesting_mode"] == "single"
        found = value.get(name)
        if single or is_unknown(found):
            result[name] = found
        else:
            result[name] = [conform(spec["block"], item) for item in found or []]
    return result


def mark_unknown(block: Block, value: State, *, creating: bool) -> State:
    """Null computed attributes become unknown when the resource is created."""
    if not creating:
        return value
    result = dict(value)
    for name, spec in block["attributes"].items():
        if spec.get("computed") and result.get(name) is None:
            result[name] = UNKNOWN
    for name, spec in block["block_types"].items():
        if isinstance(result.get(name), list):
            result[name] = [mark_unknown(spec["block"], item, creating=True) for item in result[name]]
    return result


def resolve(planned: Any, found: Any) -> Any:
    """The planned value with what was unknown taken from what ARM says now."""
    if is_unknown(planned):
        return found
    if isinstance(planned, dict):
        return {name: resolve(item, (found or {}).get(name)) for name, item in planned.items()}
    if isinstance(planned, list) and any(isinstance(item, dict) for item in planned):
        others = found if isinstance(found, list) and len(found) == len(planned) else [None] * len(planned)
        return [resolve(item, other) for item, other in zip(planned, others, strict=True)]
    return planned
