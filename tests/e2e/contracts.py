"""The vendors' own contracts: what every call of a run, the product's and Terraform's, is held against."""

import importlib.util
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.stack import CHECKOUT
from tests.contracts import github_schema

FOLDER = Path(os.environ.get("APPSTORE_CONTRACTS") or CHECKOUT.parent / "shared" / "contracts")
CONTRACTS = ("vault.azure.net", "azmk8s.io", "service-now.com", "grafana.azure.com", "api.powerplatform.com")
HOSTS = ("api.github.com", "slack.com", "management.azure.com", "dev.azure.com", "graph.microsoft.com")
CHECKED = re.compile(rf"{'|'.join(map(re.escape, HOSTS))}|.+\.({'|'.join(map(re.escape, CONTRACTS))})")
OUTSIDE = {
    "our own data, forwarded to Azurite": r".+\.(blob|table)\.core\.windows\.net",
    "sign-in and its keys": r"login\.microsoftonline\.com",
    "managed identity endpoint": r"127\.0\.0\.1",
    "git over https": r"github\.com",
    "the pipeline's identity tokens": r".*\.actions\.githubusercontent\.com",
    "the application itself": r".+\.apps\.contoso\.com",
    "Backstage, compared with a real one by make test-backstage": r"backstage\.contoso\.com",
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
    r"GET /repos/[^/]+/[^/]+/deployments: no operation": f"{REST}/deployments/deployments#list-deployments",
    r"POST /orgs/\w+/repos: body \$\.visibility: 'internal' is not one of": f"{REST}/repos/repos (Enterprise Cloud)",
    r"(GET|PUT|DELETE) /.+/flexibleServers/[^/]+/administrators/[0-9a-f-]{36}: no": f"{ARM}/postgresql/administrators",
    r"(GET|PUT|DELETE) /.+/Microsoft\.Insights/diagnosticSettings/[^/]+: no": f"{ARM}/monitor/diagnostic-settings",
    r"GET /.+/operationStatuses/[0-9a-f-]{36}: no operation": "azure-resource-manager/management/async-operations",
}
# Azure Boards: the excerpts have projects and work items. Teams, areas, settings and boards were held by hand against
# core.json, workItemTracking.json and work.json (7.1) of https://github.com/MicrosoftDocs/vsts-rest-api-specs.
DEVOPS = "https://learn.microsoft.com/rest/api/azure/devops"
AZURE_BOARDS = {
    r"(GET|POST|PATCH|DELETE) /contoso/_apis/projects/[^/]+/teams(/[^/ ]+)?: no operation": f"{DEVOPS}/core/teams",
    r"(GET|POST|DELETE) /contoso/[^/]+/_apis/wit/classificationnodes/\w+(/[^/ ]+)?: no operation": (
        f"{DEVOPS}/wit/classification-nodes"
    ),
    r"PATCH /contoso/[^/]+/[^/]+/_apis/work/teamsettings: no operation": f"{DEVOPS}/work/teamsettings",
    r"PATCH /contoso/[^/]+/[^/]+/_apis/work/teamsettings/teamfieldvalues: no": f"{DEVOPS}/work/teamfieldvalues",
    r"GET /contoso/[^/]+/[^/]+/_apis/work/boards/[^/]+: no operation": f"{DEVOPS}/work/boards",
    r"PUT /contoso/[^/]+/[^/]+/_apis/work/boards/[^/]+/columns: no operation": f"{DEVOPS}/work/columns",
    r"GET /contoso/[^/]+/_apis/wit/workitems: no operation": f"{DEVOPS}/wit/work-items/list",
    r"DELETE /contoso/[^/]+/_apis/wit/workitems/\d+: no operation": f"{DEVOPS}/wit/work-items/delete",
}

# The same for calls that a run need not make: what Graph said is kept for a minute.
GRAPH = "https://learn.microsoft.com/graph/api"
PERHAPS = {
    r"GET /subscriptions/[^/]+/resourceGroups/[^/]+/providers/"
    r"(Microsoft\.DBforPostgreSQL/flexibleServers|Microsoft\.Storage/storageAccounts|Microsoft\.KeyVault/vaults): no": (
        f"{ARM}: list by resource group, of postgresql, storagerp and keyvault"
    ),
    r"PATCH /repos/[^/]+/[^/]+/issues/\d+: no operation": f"{REST}/issues/issues#update-an-issue",
    r"POST /repos/[^/]+/[^/]+/issues/\d+/labels: no operation": f"{REST}/issues/labels#add-labels-to-an-issue",
    r"PATCH /repos/[^/]+/[^/]+/pulls/\d+: no operation": f"{REST}/pulls/pulls#update-a-pull-request",
    r"GET /repos/[^/]+/[^/]+/issues/\d+/comments: no operation": f"{REST}/issues/comments#list-issue-comments",
    r"DELETE /repos/[^/]+/[^/]+/issues/comments/\d+: no operation": f"{REST}/issues/comments#delete-an-issue-comment",
    r"DELETE /repos/[^/]+/[^/]+/git/refs/heads/drift/\w+: no operation": f"{REST}/git/refs#delete-a-reference",
    r"GET /repos/[^/]+/[^/]+/git/blobs/\w{40}: no operation": f"{REST}/git/blobs#get-a-blob",
    r"GET /v1.0/servicePrincipals/[^/]+/appRoleAssignedTo: no": f"{GRAPH}/serviceprincipal-list-approleassignedto",
    r"GET /v1.0/groups/[0-9a-f-]{36}/transitiveMembers: no operation": f"{GRAPH}/group-list-transitivemembers",
    r"GET /v1\.0/users: no operation": f"{GRAPH}/user-list",
    r"GET /v1.0/users/[^/ ]+: no operation": f"{GRAPH}/user-get",
    r"POST /v1.0/directoryObjects/[0-9a-f-]{36}/checkMemberGroups: no": f"{GRAPH}/directoryobject-checkmembergroups",
}

type Check = Callable[..., list[str]]
type Entry = dict[str, Any]


def load_module() -> Any:
    """The vendors' contracts, which are not part of the project; None where they are absent."""
    if not (FOLDER / "contractcheck.py").exists():
        return None
    sys.path.insert(0, str(FOLDER))
    try:
        specification = importlib.util.spec_from_file_location("contractcheck", FOLDER / "contractcheck.py")
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


def load_check() -> Check | None:
    """The contract check; None where it is absent."""
    module = load_module()
    if module is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files of its contracts to the collector
        for host in (*HOSTS, *(f"x.{name}" for name in CONTRACTS)):
            assert module.check("GET", f"https://{host}/no/such/operation")
        assert module.card_errors({"type": "Shout"})
    check: Check = module.check
    return check


def complaints(check: Check, entry: Entry) -> list[str]:
    """What the vendor's contract says against a call of the journal."""
    url = str(entry["url"])
    if ".vault.azure.net" in url and entry["method"] == "GET":
        # The current version of a secret has an empty version; the contract's path cannot say so.
        url = re.sub(r"(/secrets/[^/?]+)/?(\?|$)", r"\1/current\2", url)
    if urlsplit(url).path == "/graphql":
        found = github_schema.complaints(entry["body"])
    else:
        found = check(entry["method"], url, entry["body"], entry["content_type"] or "application/json")
    return [f"{entry['agent'].split('/')[0]} {entry['method']} {urlsplit(url).path}: {error}" for error in found]


def require_documented(check: Check, journal: list[Entry], beyond: dict[str, str] = BEYOND) -> int:
    """Demand that every call goes to a known host, and is one that its vendor documents; returns how many.

    What people look at (`pages`) and what the tests ask is left out.
    """
    calls_of_programs = [entry for entry in journal if entry["system"] != "pages"]
    entries = [entry for entry in calls_of_programs if not entry["agent"].startswith("python-httpx")]
    hosts = {str(urlsplit(entry["url"]).hostname) for entry in entries}
    checked = {host for host in hosts if CHECKED.fullmatch(host)}
    unknown = {host for host in hosts - checked if not any(re.fullmatch(pattern, host) for pattern in OUTSIDE.values())}
    assert not unknown, unknown
    assert {"api.github.com", "management.azure.com"} <= checked
    calls = [entry for entry in entries if str(urlsplit(entry["url"]).hostname) in checked]
    found = Counter(complaint for entry in calls for complaint in complaints(check, entry))
    for pattern in beyond:
        known = [complaint for complaint in found if re.search(pattern, complaint)]
        assert known, f"no longer needed: {pattern}"
        for complaint in known:
            del found[complaint]
    for complaint in [complaint for complaint in found if any(re.search(pattern, complaint) for pattern in PERHAPS)]:
        del found[complaint]
    assert not found, "\n".join(f"{count} x {complaint}" for complaint, count in found.items())
    return len(calls)
