import os
import subprocess
import sys
from pathlib import Path

import httpx

from .conftest import StandIns

TABLES = "https://appstoredata.table.core.windows.net/Tables"
HEADERS = {"x-ms-version": "2019-02-02", "Accept": "application/json;odata=nometadata"}


def app_environment(stand_ins: StandIns) -> dict[str, str]:
    identity = {"IDENTITY_ENDPOINT": f"{stand_ins.proxy}/msi/token", "IDENTITY_HEADER": "local"}
    return {
        **stand_ins.ready["environment"],
        **identity,
        "AZURE_CLIENT_ID": "30000000-0000-0000-0000-000000000001",
        "HOME": os.environ.get("HOME", "/"),
    }


def test_microsofts_clients_work_with_a_managed_identity(with_storage: StandIns) -> None:
    script = Path(__file__).with_name("storage_client.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        env=app_environment(with_storage),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    written = with_storage.journal(system="storage")
    assert {entry["status"] for entry in written} >= {201, 204, 412}
    secrets = [entry["body"] for entry in with_storage.journal(system="key_vault") if entry["method"] == "PUT"]
    assert {body["value"] for body in secrets if body} == {"REDACTED"}
    create = {"TableName": "kept"}
    token = with_storage.bearer("https://storage.azure.com")
    with_storage.admin.post("faults", json={"system": "storage", "method": "POST", "mode": "drop_after"})
    try:
        with_storage.client.post(TABLES, json=create, headers=token | HEADERS)
    except httpx.RemoteProtocolError:
        pass
    else:
        raise AssertionError("the connection was not dropped")
    assert with_storage.client.post(TABLES, json=create, headers=token | HEADERS).status_code == 409


def test_a_token_for_another_resource_or_of_nobody_is_refused(with_storage: StandIns) -> None:
    foreign = with_storage.bearer("https://management.azure.com")
    assert with_storage.client.get(TABLES, headers=foreign | HEADERS).status_code in {401, 403}
    forged = {"Authorization": "Bearer a.b.c"}
    assert with_storage.client.get(TABLES, headers=forged | HEADERS).status_code == 401
    assert with_storage.client.get(TABLES, headers=HEADERS).status_code in {401, 403}


def test_storage_without_azurite_says_busy(stand_ins: StandIns) -> None:
    token = stand_ins.bearer("https://storage.azure.com")
    answer = stand_ins.client.get(TABLES, headers=token | HEADERS)
    assert answer.status_code == 503
    assert answer.headers["x-ms-error-code"] == "ServerBusy"


def test_a_container_that_resource_manager_made_is_there_and_no_other(with_storage: StandIns) -> None:
    group = "https://management.azure.com/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-sales"
    account = f"{group}/providers/Microsoft.Storage/storageAccounts/stsales"
    arm, sku = with_storage.bearer("https://management.azure.com"), {"name": "Standard_LRS"}
    made: list[tuple[str, dict[str, object]]] = [
        (group, {"location": "westeurope"}),
        (account, {"location": "westeurope", "sku": sku, "properties": {}}),
        (f"{account}/blobServices/default/containers/data", {"properties": {}}),
    ]
    for place, body in made:
        answer = with_storage.client.put(f"{place}?api-version=2025-06-01", json=body, headers=arm)
        assert answer.status_code in (200, 201, 202), answer.text
    storage = with_storage.bearer("https://storage.azure.com") | {"x-ms-version": "2024-11-04"}
    blob = "https://stsales.blob.core.windows.net/data/input/a%20day.csv"
    for content in ("one", "two"):
        headers = storage | {"x-ms-blob-type": "BlockBlob"}
        assert with_storage.client.put(blob, content=content, headers=headers).status_code == 201
    assert with_storage.client.get(blob, headers=storage).text == "two"
    for foreign in (blob.replace("stsales", "stother"), blob.replace("/data/", "/other/")):
        assert with_storage.client.get(foreign, headers=storage).status_code >= 400
