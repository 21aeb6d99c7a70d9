"""Every call of a whole onboarding and its undo, the product's and Terraform's, against the vendors' own contracts."""

import importlib.util
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.stack import CHECKOUT, Stack
from tests.e2e.driver import Desk

FOLDER = Path(os.environ.get("APPSTORE_CONTRACTS") or CHECKOUT.parent / "shared" / "contracts")
CHECKED = re.compile(r"api\.github\.com|management\.azure\.com|.+\.vault\.azure\.net|.+\.azmk8s\.io")
OUTSIDE = {
    "our own data, forwarded to Azurite": r".+\.(blob|table)\.core\.windows\.net",
    "sign-in and its keys": r"login\.microsoftonline\.com",
    "managed identity endpoint": r"127\.0\.0\.1",
    "git over https": r"github\.com",
    "the pipeline's identity tokens": r".*\.actions\.githubusercontent\.com",
    "the application itself": r".+\.apps\.contoso\.com",
    "container registry (OCI distribution)": r".+\.azurecr\.io",
}

type Check = Callable[..., list[str]]
type Entry = dict[str, Any]


@pytest.fixture(scope="session")
def check() -> Iterator[Check]:
    """The contract check, which is not part of the project."""
    if not (FOLDER / "contractcheck.py").exists():
        pytest.skip(f"the vendors' contracts are not at {FOLDER}; APPSTORE_CONTRACTS names another folder")
    sys.path.insert(0, str(FOLDER))
    specification = importlib.util.spec_from_file_location("contractcheck", FOLDER / "contractcheck.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    yield module.check
    sys.path.remove(str(FOLDER))


def _complaints(check: Check, entry: Entry) -> list[str]:
    url = str(entry["url"])
    if ".vault.azure.net" in url and entry["method"] == "GET":
        # The current version of a secret has an empty version; the contract's path cannot say so.
        url = re.sub(r"(/secrets/[^/?]+)/?(\?|$)", r"\1/current\2", url)
    found = check(entry["method"], url, entry["body"], entry["content_type"] or "application/json")
    return [f"{entry['agent'].split('/')[0]} {entry['method']} {urlsplit(url).path}: {error}" for error in found]


def test_every_call_of_a_whole_run_is_one_that_the_vendor_documents(check: Check, stack: Stack) -> None:
    desk = Desk(stack)
    began = desk.position()
    request = desk.onboard("contract-api")
    assert request["state"] == "succeeded", request["problem"]
    assert desk.decide(request["id"], "undo").status_code == 202
    desk.wait(request["id"], "undone", seconds=120)
    entries = [entry for entry in stack.journal(began) if not entry["agent"].startswith("python-httpx")]
    hosts = Counter(str(urlsplit(entry["url"]).hostname) for entry in entries)
    outside = [host for host in hosts if any(re.fullmatch(pattern, host) for pattern in OUTSIDE.values())]
    checked = [host for host in hosts if CHECKED.fullmatch(host)]
    assert set(hosts) == {*outside, *checked}, hosts
    assert {"api.github.com", "management.azure.com"} <= set(checked)
    complaints = Counter(
        complaint
        for entry in entries
        if CHECKED.fullmatch(str(urlsplit(entry["url"]).hostname))
        for complaint in _complaints(check, entry)
    )
    assert not complaints, "\n".join(f"{count} x {complaint}" for complaint, count in complaints.items())
