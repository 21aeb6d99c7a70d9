"""Azure's SDKs are used in one place each (import-linter does not see inside the `azure` namespace)."""

from pathlib import Path

from tests.structure.product import imported, modules, relative

ALLOWED = {
    "azure.data": ("shared/register/",),
    "azure.storage": ("shared/clients/",),
    "azure.mgmt": ("shared/clients/",),
    "azure.keyvault": ("shared/clients/",),
    "azure.eventgrid": ("shared/clients/event_grid.py",),
    "azure.identity": ("shared/credential.py", "shared/clients/"),
    "azure.monitor": ("shared/telemetry/exporters.py",),
    "opentelemetry": ("shared/telemetry/",),
    "azure.core": ("shared/register/", "shared/clients/", "shared/credential.py"),
}


def test_each_azure_sdk_is_used_where_it_belongs() -> None:
    assert not [
        f"{relative(path)} imports {name}"
        for path in modules()
        for name in imported(path)
        for sdk, places in ALLOWED.items()
        if (name == sdk or name.startswith(f"{sdk}.")) and not _lies_in(path, places)
    ]


def _lies_in(path: Path, places: tuple[str, ...]) -> bool:
    return relative(path).startswith(("infra/", *places))
