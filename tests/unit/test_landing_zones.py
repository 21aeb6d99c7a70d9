from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import ConfigurationError, RequestRejectedError
from shared.landing_zones import FILE, LandingZone, find, full, landing_zones
from shared.prices import read_book

SUBSCRIPTION = "20000000-0000-0000-0000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-platform-dev/providers"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    copy = tmp_path / "landing_zones.yaml"
    copy.write_bytes(FILE.read_bytes())
    return copy


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_dev_in_westeurope() -> None:
    zone = find("dev", "westeurope", "internal")
    assert zone.subscription_id == SUBSCRIPTION
    assert zone.tenant_id == "11111111-1111-1111-1111-111111111111"
    assert zone.cluster_id == f"{GROUP}/Microsoft.ContainerService/managedClusters/aks-dev-weu"
    assert zone.log_workspace_id == f"{GROUP}/Microsoft.OperationalInsights/workspaces/log-dev-weu"
    assert (zone.registry, zone.dns_zone) == ("crcontosodev.azurecr.io", "dev.apps.contoso.com")
    assert (zone.dns_resource_group, zone.ingress_host) == ("rg-platform-dns", "ingress.aks-dev-weu.contoso.com")
    assert (zone.team_role, zone.purge_protection) == ("Contributor", False)


def test_prod_protects_and_lives_in_its_own_subscription() -> None:
    zone = find("prod", "westeurope", "restricted")
    assert zone.subscription_id == "20000000-0000-0000-0000-000000000002"
    assert (zone.team_role, zone.purge_protection) == ("Reader", True)


@pytest.mark.parametrize(
    ("environment", "region", "classification"),
    [
        ("prod", "northeurope", "public"),
        ("dev", "northeurope", "confidential"),
        ("dev", "eastus", "public"),
        ("test", "westeurope", "public"),
        ("dev", "westeurope", "secret"),
    ],
)
def test_no_row_is_a_rejection_that_names_it(environment: str, region: str, classification: str) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        find(environment, region, classification)
    assert (caught.value.status, caught.value.code, caught.value.pointer) == (422, "no-landing-zone", "/region")
    assert all(part in caught.value.detail for part in (environment, region, classification))


def test_a_landing_zone_does_not_change() -> None:
    with pytest.raises(ValidationError):
        find("dev", "westeurope", "public").team_role = "Owner"  # type: ignore[assignment]


def test_a_changed_file_counts_at_once(path: Path) -> None:
    assert find("dev", "westeurope", "public", path).registry == "crcontosodev.azurecr.io"
    change(path, "crcontosodev", "crcontosonew")
    assert find("dev", "westeurope", "public", path).registry == "crcontosonew.azurecr.io"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (SUBSCRIPTION, "20000000-1", "pattern"),
        ("environment: dev", "environment: test", "environment"),
        ("[public, internal, confidential, restricted]", "[secret]", "classifications"),
        ("[public, internal, confidential, restricted]", "[]", "classifications"),
        ("managedClusters/aks-dev-weu", "managedClusters/aks-dev", "different clusters"),
        (
            "Microsoft.OperationalInsights/workspaces",
            "Microsoft.Insights/components",
            "log_workspace_id|logWorkspaceId",
        ),
        ("crcontosodev.azurecr.io", "https://crcontosodev.azurecr.io", "registry"),
        ("dns_zone: dev.apps.contoso.com", "dns_zone: dev", "dns_zone|dnsZone"),
        ("team_role: Contributor", "team_role: Owner", "team_role|teamRole"),
        ("database_sku: B_Standard_B1ms", "database: B", "database"),
        ("environment: qa", "environment: dev", "two rows fit the same application: dev, westeurope"),
        ("landing_zones:", "zones:", "not a list of landing zones"),
        ("tenant_id:", "tenant:", "not a list of landing zones"),
        ("tenant_id:", "[", "not a list of landing zones"),
    ],
)
def test_a_wrong_file_is_named(path: Path, old: str, new: str, named: str) -> None:
    change(path, old, new)
    with pytest.raises(ConfigurationError, match=named):
        landing_zones(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"text", b"tenant_id: x\nlanding_zones: [1]\n", b"\xff"])
def test_what_is_no_document_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"landing_zones\.yaml"):
        landing_zones(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml"):
        landing_zones(tmp_path / "nothing.yaml")


def test_a_zone_that_was_pinned_before_the_registrys_id_was_known_can_still_be_undone() -> None:
    pinned = find("dev", "westeurope", "public").document()
    del pinned["registryId"]
    assert LandingZone.model_validate(pinned).registry_id == ""


def test_the_file_must_say_the_registrys_id(tmp_path: Path) -> None:
    path = tmp_path / "landing_zones.yaml"
    lines = FILE.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if "registry_id" not in line), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="registry_id"):
        find("dev", "westeurope", "public", path)


def test_what_comes_closest_is_named() -> None:
    with pytest.raises(RequestRejectedError) as caught:
        find("dev", "northeurope", "confidential")
    assert "Closest: dev-weu (region westeurope); dev-neu (classifications public, internal)" in caught.value.detail
    with pytest.raises(RequestRejectedError) as caught:
        find("qa", "westeurope", "internal", cluster="dedicated")
    assert "dedicated cluster. Closest: qa-weu (shared cluster); dev-weu-dedicated (environment dev)" in (
        caught.value.detail
    )


def test_an_application_gets_a_cluster_of_its_own_with_a_name_of_its_own() -> None:
    row = find("dev", "westeurope", "internal", cluster="dedicated")
    assert (row.name, row.cluster_id) == ("dev-weu-dedicated", "")
    one, other = row.placed("shop-api"), row.placed("pay-api")
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop-api-dev/providers"
    assert one.cluster_id == f"{group}/Microsoft.ContainerService/managedClusters/aks-shop-api-dev"
    assert one.ingress_host == "ingress.aks-shop-api-dev.contoso.com"
    assert LandingZone.model_validate(one.document()) == one, "as it is pinned in a request"
    assert one.cluster_id != other.cluster_id
    shared = find("dev", "westeurope", "internal")
    assert shared.placed("shop-api") == shared


def test_a_zone_that_was_pinned_before_rows_had_names_is_a_shared_one() -> None:
    pinned = find("dev", "westeurope", "public").document()
    for name in ("name", "cluster", "capacity", "nodeSize", "nodeCount", "ingressDomain"):
        del pinned[name]
    zone = LandingZone.model_validate(pinned)
    assert (zone.name, zone.cluster, zone.capacity) == ("", "shared", None)


def test_only_what_is_full_is_named() -> None:
    limits = {zone.name: zone.capacity.applications for zone in landing_zones() if zone.capacity}
    assert set(limits) == {zone.name for zone in landing_zones()}
    used = {"dev-weu": Decimal(limits["dev-weu"]), "qa-weu": Decimal(limits["qa-weu"] - 1)}
    assert full(used, ["dev-weu", "qa-weu", "prod-weu", "unknown"]) == [
        f"dev-weu takes {limits['dev-weu']} applications and has {limits['dev-weu']}"
    ]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("name: qa-weu", "name: dev-weu", "two rows have the same name: dev-weu"),
        ("- name: dev-weu\n    ", "- ", r"landing_zones\.0\.name: Field required"),
        ("name: qa-weu", "name: QA", "name"),
        ("capacity: {applications: 1000}", "capacity: {applications: -1}", "applications"),
        ("capacity: {applications: 1000}", "capacity: {applications: 1000, pods: 1}", "pods"),
        ("    node_count: 3\n", "", "needs node_size, node_count and ingress_domain"),
        ("cluster: dedicated", "cluster: own", "cluster"),
        ("    cluster: dedicated\n", "", "belong together"),
        ("    ingress_host: ingress.aks-dev-weu.contoso.com\n", "", "belong together"),
        (
            "    node_count: 3\n",
            "    node_count: 3\n    cluster_name: aks-x\n",
            "belong together|not named beforehand",
        ),
    ],
)
def test_a_row_that_does_not_fit_together_is_named(path: Path, old: str, new: str, named: str) -> None:
    change(path, old, new)
    with pytest.raises(ConfigurationError, match=named):
        landing_zones(path)


def test_every_size_of_node_has_a_price() -> None:
    sizes = {zone.node_size for zone in landing_zones() if zone.cluster == "dedicated"}
    assert sizes
    assert {f"aks.node.{size}" for size in sizes} <= set(read_book().items)


def test_the_app_stores_identity_stands_once_for_all_rows_and_reaches_every_environment(tmp_path: Path) -> None:
    identity = "30000000-0000-0000-0000-00000000000b"
    file = tmp_path / "landing_zones.yaml"
    file.write_text(f"platform_principal_id: {identity}\n{FILE.read_text(encoding='utf-8')}", encoding="utf-8")
    assert {zone.platform_principal_id for zone in landing_zones(file)} == {identity}
    assert {zone.platform_principal_id for zone in landing_zones()} == {None}
