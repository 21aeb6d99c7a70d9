"""The two kinds of ARM objects that Terraform does not own: AKS managed namespaces and federated credentials."""

from activities._activity import activity
from shared import archetypes, shields
from shared import plan as plans
from shared.clients import resource_manager
from shared.clients._github import owner
from shared.errors import ConflictError, VendorCall
from shared.guard import Action
from shared.models.plan import MadeObject
from shared.models.runs import ActivityInput, Deployment, Nothing
from shared.models.undo import Removed
from shared.names import environment_names
from shared.register import requests

TAG = "appstore-request-id"
GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
_CREDENTIAL = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"


@activity
async def ensure_namespace(data: ActivityInput) -> Nothing:
    """Create the application's namespace in the landing zone's cluster, if its archetype runs in one.

    Idempotency: natural key cluster/namespace; one that carries our request id as a tag is kept, another is a conflict.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    if not plans.makes(record, plans.NAMESPACE):
        return Nothing(detail=f"{record.body.archetype} runs in no cluster")
    environment = str(data.run.environment)
    zone = plans.zone_of(record, environment)
    name = environment_names(record.application, environment, record.id).namespace
    found = await resource_manager.read_namespace(zone.cluster_id, name)
    if found is not None and (found.get("tags") or {}).get(TAG) != record.id:
        call = VendorCall("azure resource manager", "create managed namespace", 409)
        raise ConflictError(call, f"the namespace {name} exists and was not made by this request; it was left as it is")
    body = {
        "location": zone.region,
        "tags": {TAG: record.id, "application": record.application, "environment": environment},
        "properties": {
            "labels": {"appstore-request-id": record.id},
            "defaultNetworkPolicy": {"ingress": "AllowAll", "egress": "AllowAll"},
            "adoptionPolicy": "Never",
            "deletePolicy": "Delete",
        },
    }
    if found is None or (found.get("properties") or {}).get("provisioningState") != "Succeeded":
        await resource_manager.put_namespace(zone.cluster_id, name, body)
    made = [MadeObject(system="azure", type=plans.NAMESPACE, name=name, environment=environment)]
    return Nothing(detail=f"namespace {name}", made=made)


@activity
async def ensure_federated_credential(data: Deployment) -> Nothing:
    """Let the repository's pipeline act as the deployment identity, for this environment only.

    Idempotency: PUT by name below the environment's own identity.
    """
    environment = str(data.run.environment)
    subject = f"{data.subject_prefix}:environment:{environment}"
    identity = data.outputs["deployment_identity_id"]
    await resource_manager.put_federated_credential(
        identity, f"github-{environment}", issuer=GITHUB_ISSUER, subject=subject
    )
    name = f"{owner()}/{data.run.application}:{environment}"
    made = [MadeObject(system="azure", type=_CREDENTIAL, name=name, environment=environment)]
    return Nothing(detail=subject, made=made)


@activity
async def ensure_workload_credential(data: Deployment) -> Nothing:
    """Let the service accounts that the archetype names act as identities of the environment.

    Idempotency: PUT by name below the environment's own identity.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    environment = str(data.run.environment)
    credentials = archetypes.find(record.body.archetype).credentials
    if not credentials:
        return Nothing(detail=f"{record.body.archetype} runs in no cluster")
    values = {
        "application": record.application,
        "environment": environment,
        "namespace": environment_names(record.application, environment, record.id).namespace,
    }
    issuer = await resource_manager.read_token_issuer(plans.zone_of(record, environment).cluster_id)
    subjects = [credential.subject.format(**values) for credential in credentials]
    for credential, subject in zip(credentials, subjects, strict=True):
        await resource_manager.put_federated_credential(
            data.outputs[credential.identity], credential.name.format(**values), issuer=issuer, subject=subject
        )
    made = [
        MadeObject(system="azure", type=_CREDENTIAL, name=name, environment=environment)
        for name in (subject.removeprefix("system:serviceaccount:") for subject in subjects)
    ]
    return Nothing(detail=", ".join(subjects), made=made)


@activity
async def remove_namespace(data: ActivityInput) -> Removed:
    """Remove the namespace with everything in it, if this request made it.

    Idempotency: absent is success; a namespace without our request id is left alone.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    environment = str(data.run.environment)
    zone = plans.zone_of(record, environment)
    name = environment_names(record.application, environment, record.id).namespace
    found = await resource_manager.read_namespace(zone.cluster_id, name)
    if found is None:
        return Removed(detail="absent")
    owned_by = (found.get("tags") or {}).get(TAG)
    if owned_by != record.id:
        return Removed(detail=f"{name} is not ours and stays")
    action = Action("undo", "managed namespace", name, record.id, environment)
    allowed = await shields.allow(action, application=record.application, owned_by=owned_by)
    await resource_manager.delete_namespace(zone.cluster_id, name, allowed)
    return Removed(detail=f"namespace {name} removed")
