"""What Resource Manager adds to a site and refuses of a custom domain."""

import secrets
from typing import Any

Resource = dict[str, Any]


def site(_estate: Any, target: Any, resource: Resource, before: Resource | None) -> None:
    """A host name of two words and a code, which stays; the SKU is one of two."""
    old = before["properties"] if before else {}
    made = f"{target.name.lower()[:12].strip('-')}-{secrets.token_hex(5)}.5.azurestaticapps.net"
    resource["properties"]["defaultHostname"] = old.get("defaultHostname", made)
    resource.setdefault("sku", {"name": "Free", "tier": "Free"})


def unready_domain(estate: Any, target: Any, resource: Resource) -> str:
    """Why a name cannot become the site's: its CNAME record has to lead to the site first. Empty: it can."""
    properties = resource["properties"]
    owner = estate.get(target.scope) or {"properties": {"defaultHostname": ""}}
    if properties.get("validationMethod", "cname-delegation") != "cname-delegation":
        return "Only cname-delegation is offered here."
    label, _, zone = target.name.partition(".")
    for record in estate.of_type("Microsoft.Network/dnszones/CNAME"):
        if record["name"] == label and record["id"].split("/")[-3].lower() == zone:
            leads_to = record["properties"].get("CNAMERecord", {}).get("cname", "").rstrip(".")
            if leads_to == owner["properties"]["defaultHostname"]:
                resource["properties"] = {"domainName": target.name, "status": "Ready", "validationToken": ""}
                return ""
    return f"CNAME Record is invalid. Please ensure the CNAME record of {target.name} has been created."
