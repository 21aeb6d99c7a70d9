"""A run: what it writes, that it may be done again, and that bad input leaves the last good output alone."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from app.contract import Contract, ContractBrokenError
from app.job import run, verify
from app.main import CONTRACT_BROKEN, NO_INPUT, SAMPLE_DATE, main, store_for
from app.settings import Settings
from app.store import BlobStore, FolderStore


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_run_writes_the_output_of_its_day(store: FolderStore, contract: Contract, sample: bytes) -> None:
    store.write(f"input/{SAMPLE_DATE}.csv", sample)
    assert run(store, contract, SAMPLE_DATE) == {"date": "2026-01-31", "contract": "1.0.0", "rows": 3, "lines": 2}
    assert json.loads(store.read("output/2026-01-31.json")) == [
        {"country": "DE", "orders": "2", "amount": "17.75"},
        {"country": "FR", "orders": "1", "amount": "0.00"},
    ]


def test_second_run_of_a_day_changes_nothing(
    store: FolderStore, contract: Contract, sample: bytes, tmp_path: Path
) -> None:
    store.write(f"input/{SAMPLE_DATE}.csv", sample)
    run(store, contract, SAMPLE_DATE)
    before = files(tmp_path)
    run(store, contract, SAMPLE_DATE)
    assert files(tmp_path) == before


@pytest.mark.parametrize("writes", range(2))
def test_run_that_died_is_repeated(
    tmp_path: Path, contract: Contract, sample: bytes, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    store, left = FolderStore(tmp_path), writes
    store.write(f"input/{SAMPLE_DATE}.csv", sample)
    write = FolderStore.write

    def dying(self: FolderStore, name: str, content: bytes) -> None:
        nonlocal left
        if left == 0:
            raise ConnectionError("the node is gone")
        left -= 1
        write(self, name, content)

    monkeypatch.setattr(FolderStore, "write", dying)
    with pytest.raises(ConnectionError):
        run(store, contract, SAMPLE_DATE)
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(FolderStore, "write", write)
    run(store, contract, SAMPLE_DATE)
    assert set(files(tmp_path)) == {
        f"input/{SAMPLE_DATE}.csv",
        f"output/{SAMPLE_DATE}.json",
        f"runs/{SAMPLE_DATE}.json",
    }


def test_bad_input_leaves_the_last_good_output(store: FolderStore, contract: Contract, sample: bytes) -> None:
    store.write(f"input/{SAMPLE_DATE}.csv", sample)
    run(store, contract, SAMPLE_DATE)
    good = store.read(f"output/{SAMPLE_DATE}.json")
    store.write(f"input/{SAMPLE_DATE}.csv", sample.replace(b"FR", b"france"))
    with pytest.raises(ContractBrokenError):
        run(store, contract, SAMPLE_DATE)
    assert store.read(f"output/{SAMPLE_DATE}.json") == good
    assert json.loads(store.read(f"rejected/{SAMPLE_DATE}.json"))["violations"] == [
        {"line": 3, "column": "country", "rule": "is not [A-Z]{2}"}
    ]


def test_exit_codes_tell_what_to_do(store: FolderStore, contract: Contract, sample: bytes) -> None:
    arguments = ["run", "--date", str(SAMPLE_DATE)]
    assert main(arguments, store, contract) == NO_INPUT
    store.write(f"input/{SAMPLE_DATE}.csv", b"nothing")
    assert main(arguments, store, contract) == CONTRACT_BROKEN
    store.write(f"input/{SAMPLE_DATE}.csv", sample)
    assert main(arguments, store, contract) == 0


def test_verification_is_a_whole_run_beside_the_data(store: FolderStore, contract: Contract, tmp_path: Path) -> None:
    assert main(["verify"], store, contract) == 0
    assert {name.split("/")[0] for name in files(tmp_path)} == {"verification"}
    assert "verification/output/2026-01-31.json" in files(tmp_path)


def test_verification_sees_a_store_that_loses(store: FolderStore, contract: Contract, sample: bytes) -> None:
    class Losing(FolderStore):
        def read(self, name: str) -> bytes:
            return b"{}" if "runs/" in name else super().read(name)

    with pytest.raises(RuntimeError, match="record"):
        verify(Losing(store._folder), contract, sample, SAMPLE_DATE)


def test_run_is_for_yesterday_unless_told(
    store: FolderStore, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.main.yesterday", lambda: date(2026, 1, 31))
    store.write("input/2026-01-31.csv", b"")
    assert main(["run"], store, contract) == CONTRACT_BROKEN


def test_store_is_the_container_where_an_account_is_named(tmp_path: Path) -> None:
    assert isinstance(store_for(Settings(folder=str(tmp_path))), FolderStore)
    assert isinstance(store_for(Settings(storage_url="https://stx.blob.core.windows.net/")), BlobStore)


def test_azure_is_loaded_only_when_a_store_is_opened() -> None:
    code = "import sys, app.main; sys.exit(any(name.split('.')[0] == 'azure' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603


def test_settings_ignore_empty_variables() -> None:
    settings = Settings.from_environment({"APP_VERSION": "", "APP_ENVIRONMENT": "qa"})
    assert (settings.version, settings.environment) == ("0.0.0", "qa")
