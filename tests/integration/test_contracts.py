"""Every call of a whole onboarding and its undo, the product's and Terraform's, against the vendors' own contracts."""

import importlib.util
import os
import re
import sys
import warnings
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
# Complaints about calls that the vendors document and the contracts' excerpts lack; each must still be needed.
ARM = "https://learn.microsoft.com/rest/api"
REST = "https://docs.github.com/rest"
BEYOND = {
    r"GET /repos/[^/]+/[^/]+/git/commits/\w{40}: no operation": f"{REST}/git/commits#get-a-commit-object",
    r"GET /repos/[^/]+/[^/]+/git/trees/\w{40}: no operation": f"{REST}/git/trees#get-a-tree",
    r"DELETE /repos/[^/]+/[^/]+/git/refs/heads/appstore/[^ ]+: no operation": f"{REST}/git/refs#delete-a-reference",
    r"GET /repos/[^/]+/[^/]+/actions/oidc/customization/sub: no operation": f"{REST}/actions/oidc",
    r"POST /orgs/\w+/repos: body \$\.visibility: 'internal' is not one of": f"{REST}/repos/repos (Enterprise Cloud)",
    r"(GET|PUT|DELETE) /.+/flexibleServers/[^/]+/administrators/[0-9a-f-]{36}: no": f"{ARM}/postgresql/administrators",
    r"(GET|PUT|DELETE) /.+/Microsoft\.Insights/diagnosticSettings/[^/]+: no": f"{ARM}/monitor/diagnostic-settings",
    r"GET /.+/operationStatuses/[0-9a-f-]{36}: no operation": "azure-resource-manager/management/async-operations",
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files of its contracts to the collector
        for host in ("api.github.com", "management.azure.com", "kv.vault.azure.net", "aks.azmk8s.io"):
            assert module.check("GET", f"https://{host}/no/such/operation")
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
    for pattern in BEYOND:
        known = [complaint for complaint in complaints if re.search(pattern, complaint)]
        assert known, f"no longer needed: {pattern}"
        for complaint in known:
            del complaints[complaint]
    assert not complaints, "\n".join(f"{count} x {complaint}" for complaint, count in complaints.items())
