"""The names an environment gets in every system.

Vendors limit lengths (Key Vault 24, PostgreSQL 63, globally unique both). A shortened name ends in a digest of the full
one and of the request, so that two long names cannot collide, and a soft-deleted vault never blocks the same request.
"""

import hashlib

from shared.models import Model

_VAULT_STEM = 24 - len("kv--") - 6
_SERVER_STEM = 63 - len("psql--") - 6


class EnvironmentNames(Model):
    """Names of the objects of one environment.

    Attributes:
        resource_group: ARM resource group.
        identity: user-assigned managed identity of the workload.
        key_vault: vault, globally unique.
        postgres: flexible server, globally unique.
        namespace: Kubernetes namespace in the landing zone's cluster.
        record: relative name of the DNS record.
        cluster: AKS cluster, where the environment has one of its own.
    """

    resource_group: str
    identity: str
    key_vault: str
    postgres: str
    namespace: str
    record: str
    cluster: str = ""


def environment_names(application: str, environment: str, request_id: str) -> EnvironmentNames:
    """Names for one environment of an application made by this request."""
    full = f"{application}-{environment}"
    suffix = hashlib.sha256(f"{full}|{request_id}".encode()).hexdigest()[:6]
    return EnvironmentNames(
        resource_group=f"rg-{full}",
        identity=f"id-{full}",
        key_vault=f"kv-{full[:_VAULT_STEM].rstrip('-')}-{suffix}",
        postgres=f"psql-{full[:_SERVER_STEM].rstrip('-')}-{suffix}",
        namespace=full,
        record=application,
        cluster=f"aks-{full}",
    )


def vault_topic(vault: str) -> str:
    """System topic that Azure Policy makes for a vault (``rules/azure_policy/definitions/vault-events.json``)."""
    return f"evgt-{vault}"


def global_name(prefix: str, longest: int, full: str, request_id: str) -> str:
    """Name of a resource that is unique in all of Azure, of at most ``longest`` characters.

    A prefix without a dash stands for a kind that allows letters and digits only, such as a storage account.
    """
    suffix = hashlib.sha256(f"{full}|{request_id}".encode()).hexdigest()[:6]
    dash = "-" if prefix.endswith("-") else ""
    stem = full if dash else full.replace("-", "")
    room = longest - len(prefix) - len(dash) - len(suffix)
    return f"{prefix}{stem[:room].rstrip('-')}{dash}{suffix}"


def change_branch(request_id: str, environment: str) -> str:
    """Branch of the infrastructure repository that carries the change of one environment."""
    return f"appstore/{request_id}/{environment}"


def variables_path(application: str, environment: str) -> str:
    """Path of the Terraform variables of one environment in the infrastructure repository."""
    return f"apps/{application}/{environment}.tfvars.json"


def state_key(application: str, environment: str) -> str:
    """Key of the Terraform state of one environment."""
    return f"apps/{application}/{environment}.tfstate"
