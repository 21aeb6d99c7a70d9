"""The job: `python -m app.main run [--date 2026-01-31]` for one day, `python -m app.main verify` on the sample.

Exit codes: 0 done; 3 there is no input; 4 the input breaks the contract. Anything else is a bug or a dependency.
"""

import argparse
import logging
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from app.contract import Contract, ContractBrokenError
from app.job import run, verify
from app.settings import Settings
from app.store import BlobStore, FolderStore, NoInputError, Store

CONTRACTS = Path(__file__).resolve().parents[1] / "contracts"
SAMPLE_DATE = date(2026, 1, 31)
NO_INPUT, CONTRACT_BROKEN = 3, 4

log = logging.getLogger(__name__)


def store_for(settings: Settings) -> Store:
    """Choose the store: the container where the environment names an account, a folder on a laptop."""
    if settings.storage_url:
        return BlobStore(settings.storage_url, settings.container)
    return FolderStore(Path(settings.folder))


def yesterday() -> date:
    """The day that a scheduled run is for, in UTC."""
    return datetime.now(UTC).date() - timedelta(days=1)


def main(arguments: list[str], store: Store, contract: Contract) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "verify"])
    parser.add_argument("--date", type=date.fromisoformat, default=None, help="default: yesterday, UTC")
    options = parser.parse_args(arguments)
    try:
        if options.what == "verify":
            verify(store, contract, (CONTRACTS / "sample.csv").read_bytes(), SAMPLE_DATE)
        else:
            run(store, contract, options.date or yesterday())
    except NoInputError as error:
        log.error("there is no input: %s", error)
        return NO_INPUT
    except ContractBrokenError as error:
        log.error("%s", error)
        return CONTRACT_BROKEN
    return 0


if __name__ == "__main__":
    settings = Settings.from_environment()
    logging.basicConfig(level=settings.log_level)
    logging.getLogger("azure").setLevel(logging.WARNING)
    sys.exit(main(sys.argv[1:], store_for(settings), Contract(CONTRACTS / "orders.yaml")))
