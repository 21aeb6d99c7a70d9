"""The schema of the azurerm provider, taken from its published Python bindings.

`python -m local.vendors.azurerm.schema --out FILE` downloads the wheel cdktn-provider-azurerm (MPL-2.0) and reads from
its generated code what `terraform providers schema -json` would say of the types we use. The result is a cache on this
machine; it is never committed.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE, PACKAGE_VERSION, PROVIDER_VERSION = "cdktn-provider-azurerm", "18.9.0", "5.10.0"
RESOURCES = (
    "automation-account",
    "automation-runbook",
    "automation-runtime-environment",
    "consumption-budget-resource-group",
    "dns-cname-record",
    "key-vault",
    "kubernetes-cluster",
    "management-group-policy-assignment",
    "management-group-policy-set-definition",
    "monitor-action-group",
    "monitor-diagnostic-setting",
    "monitor-metric-alert",
    "policy-definition",
    "postgresql-flexible-server",
    "postgresql-flexible-server-active-directory-administrator",
    "postgresql-flexible-server-database",
    "resource-group",
    "resource-group-policy-exemption",
    "role-assignment",
    "role-definition",
    "servicebus-namespace",
    "servicebus-queue",
    "static-web-app",
    "static-web-app-custom-domain",
    "storage-account",
    "storage-container",
    "storage-container-immutability-policy",
    "user-assigned-identity",
)
DATA_SOURCES = (
    "client-config",
    "dns-zone",
    "key-vault",
    "kubernetes-cluster",
    "log-analytics-workspace",
    "resource-group",
    "user-assigned-identity",
)
# A cache of other types is another cache.
EDITION = f"{PROVIDER_VERSION}-{zlib.crc32(repr((RESOURCES, DATA_SOURCES)).encode()):08x}"
RETURNED = re.compile(
    r"^    synthesizeAttributes\(\) \{\n        return \{\n(.*?)\n        \};", re.MULTILINE | re.DOTALL
)
KEY = re.compile(r"^ +// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$", re.MULTILINE)
CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{\n(.*?)^\}\n", re.MULTILINE | re.DOTALL)
NESTED = re.compile(r'= new (\w+?)(List|Map|OutputReference)\(this, "\w+"(?:, (true|false))?\)')
SCALARS: tuple[tuple[str, Any], ...] = (
    ("Fn.tolist(this.getListAttribute(", ["set", "string"]),
    ("Fn.tolist(this.getNumberListAttribute(", ["set", "number"]),
    ("getStringMapAttribute(", ["map", "string"]),
    ("getBooleanMapAttribute(", ["map", "bool"]),
    ("getNumberListAttribute(", ["list", "number"]),
    ("getListAttribute(", ["list", "string"]),
    ("getStringAttribute(", "string"),
    ("getNumberAttribute(", "number"),
    ("getBooleanAttribute(", "bool"),
    ("cdktn.StringMap(", ["map", "string"]),
)
Block = dict[str, Any]


def extract(wheel: Path) -> dict[str, Any]:
    """Read the schema of the provider and of the types we use out of the wheel."""
    sources = dict(_sources(wheel))
    return {
        "provider_version": PROVIDER_VERSION,
        "provider": {"block": _provider(sources["provider"])},
        "resource_schemas": dict(_typed(sources[name], "TerraformResource") for name in RESOURCES),
        "data_source_schemas": dict(
            _typed(sources[f"data-azurerm-{name}"], "TerraformDataSource") for name in DATA_SOURCES
        ),
    }


def _sources(wheel: Path) -> Iterator[tuple[str, str]]:
    wanted = {"provider", *RESOURCES, *(f"data-azurerm-{name}" for name in DATA_SOURCES)}
    with zipfile.ZipFile(wheel) as outer:
        bundle = outer.read(next(name for name in outer.namelist() if name.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(bundle)) as inner:
        for member in inner:
            parts = member.name.split("/")  # package/lib/<name>/index.js
            if len(parts) == 4 and parts[2] in wanted and parts[3] == "index.js":
                file = inner.extractfile(member)
                if file is not None:
                    yield parts[2], file.read().decode()


def _typed(source: str, base: str) -> tuple[str, dict[str, Any]]:
    classes = {match[1]: match[3] for match in CLASS.finditer(source)}
    top = next(match[1] for match in CLASS.finditer(source) if match[2] == base)
    kind = re.search(r'tfResourceType = "(\w+)"', source)
    if kind is None:
        raise ValueError(f"{top} names no Terraform type")
    return kind[1], {"version": 0, "block": _block(classes, top)}


def _block(classes: dict[str, str], name: str) -> Block:
    """Read one class: every attribute is announced by a comment, the code below it tells the type."""
    body, block = classes[name], Block(attributes={}, block_types={})
    marks = list(KEY.finditer(body))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        code = body[mark.end() : following.start() if following else len(body)]
        flags = zip(("computed", "optional", "required"), mark.groups()[1:], strict=True)
        modes = {flag: True for flag, value in flags if value == "true"}
        nested = NESTED.search(code)
        if nested is None:
            block["attributes"][mark[1]] = {"type": _scalar(code, f"{name}.{mark[1]}"), **modes}
            continue
        inner = _block(classes, f"{nested[1]}OutputReference")
        mode = {"OutputReference": "single", "Map": "map"}.get(nested[2], "set" if nested[3] == "true" else "list")
        if mark[1] == "timeouts":
            block["block_types"]["timeouts"] = {"nesting_mode": "single", "block": inner}
        elif "computed" in modes:
            block["attributes"][mark[1]] = {"type": ["list" if mode == "single" else mode, _object(inner)], **modes}
        else:
            limits = {"max_items": 1} if mode == "single" else {}
            limits |= {"min_items": 1} if "required" in modes else {}
            mode = "list" if mode == "single" else mode
            block["block_types"][mark[1]] = {"nesting_mode": mode, "block": inner, **limits}
    return block


def _scalar(code: str, where: str) -> Any:
    for sign, kind in SCALARS:
        if sign in code:
            return kind
    raise ValueError(f"the type of {where} is unknown: {code[:200]}")


def _object(block: Block) -> list[Any]:
    members = {name: attribute["type"] for name, attribute in block["attributes"].items()}
    for name, inner in block["block_types"].items():
        members[name] = [inner["nesting_mode"], _object(inner["block"])]
    return ["object", members]


def _provider(source: str) -> Block:
    """The provider's class has no accessors with types; its conversion functions tell them."""
    found = re.search(
        r"^    synthesizeAttributes\(\) \{\n        return \{\n(.*?)\n        \};", source, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise ValueError("the provider has no synthesizeAttributes")
    block = _converted(source, found[1])
    del block["attributes"]["alias"]
    return block


def _converted(source: str, body: str) -> Block:
    block: Block = {"attributes": {}, "block_types": {}}
    for name, code in re.findall(r"^ +(\w+): (.*),$", body, re.MULTILINE):
        function = re.search(r"(?<!\.)\b(\w+ToTerraform)\b", code)
        if function:
            inner = re.search(
                rf"^function {function[1]}\(struct\) \{{.*?return \{{\n(.*?)\n    \}};",
                source,
                re.MULTILINE | re.DOTALL,
            )
            nested = _converted(source, inner[1] if inner else "")
            block["block_types"][name] = {"nesting_mode": "list", "block": nested}
            continue
        kind = "bool" if "cdktn.boolean" in code else "number" if "cdktn.number" in code else "string"
        block["attributes"][name] = {"type": ["list", kind] if "listMapper" in code else kind, "optional": True}
    return block


def write(target: Path) -> None:
    """Download the bindings and write the schema, unless the file is there."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*command, "--dest", folder, f"{PACKAGE}=={PACKAGE_VERSION}"], check=True)
        draft = Path(folder) / "schema.json"
        draft.write_text(json.dumps(extract(next(Path(folder).glob("*.whl"))), sort_keys=True))
        draft.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
