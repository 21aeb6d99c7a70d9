"""System topics that Azure Policy made for an environment's vault (record 0046): they go with the environment.

Neither engine knows them, and both refuse to delete a resource group that holds what they did not make.
"""

from shared import shields
from shared.clients.removable import delete_resource
from shared.clients.resources import Resource, list_resources
from shared.errors import NotFoundError, TransientIntegrationError, VendorCall
from shared.guard import UNDO, Action
from shared.models.records import RequestRecord
from shared.names import environment_names, vault_topic
from shared.plan import group_of

_TYPE, _VERSION = "Microsoft.EventGrid/systemTopics", "2025-02-15"
_TAG = "appstore-request-id"


async def remove_vault_topics(record: RequestRecord, environment: str) -> None:
    """Remove the topic of the environment's vault with its subscriptions; one without our request's tag stays.

    Raises:
        RequestRejectedError: the guard refuses.
        TransientIntegrationError: Azure is still deleting it.
    """
    name = vault_topic(environment_names(record.application, environment, record.id).key_vault)
    try:
        found = [item async for item in list_resources(group_of(record, environment)) if _is_topic(item, name)]
    except NotFoundError:
        return
    for topic in found:
        owned_by = (topic.tags or {}).get(_TAG)
        if owned_by != record.id:
            continue
        action = Action(UNDO, "event grid system topic", topic.id, record.id, environment)
        allowed = await shields.allow(action, application=record.application, owned_by=owned_by)
        if not await delete_resource(topic.id, _VERSION, allowed):
            call = VendorCall("azure resource manager", "delete system topic")
            raise TransientIntegrationError(call, f"{topic.id} is being deleted")


def _is_topic(resource: Resource, name: str) -> bool:
    return (resource.type.lower(), resource.name.lower()) == (_TYPE.lower(), name.lower())
