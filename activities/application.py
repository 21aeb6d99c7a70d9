"""The running application: only its own answer under its own name counts."""

from activities._activity import activity
from shared import archetypes
from shared import plan as plans
from shared.clients.application import read_health
from shared.errors import TransientIntegrationError, VendorCall
from shared.models.promotions import VerifyRelease
from shared.models.runs import ActivityInput, Nothing
from shared.register import promotions, requests


@activity
async def verify_health(data: ActivityInput) -> Nothing:
    """Ask the application for its health under its DNS name.

    Idempotency: reads only.

    Raises:
        TransientIntegrationError: not healthy yet, or somebody else answers.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    environment = str(data.run.environment)
    made = plans.deployed(record, environment)
    check = archetypes.find(record.body.archetype).health
    if not check.path or not archetypes.applies(check.when, plans.parameters_of(record)):
        return Nothing(detail=check.otherwise, made=made)
    host = plans.host_of(record, environment)
    health = await read_health(host, check.path)
    if health.status != "healthy" or health.application != record.application:
        detail = f"{host} answers as {health.application}: {health.status}"
        raise TransientIntegrationError(VendorCall("application", "read health", 200), detail)
    url = f"https://{host}{check.path}"
    return Nothing(detail=f"health 200, version {health.version[:12]}", link=url, made=made)


@activity
async def verify_release(data: VerifyRelease) -> Nothing:
    """Ask the application in a stage whether it is this release that answers.

    Idempotency: reads only.

    Raises:
        TransientIntegrationError: not healthy, or another image answers.
    """
    promotion = await promotions.get(data.run.application, data.run.request_id)
    record = await requests.get(promotion.application, promotion.request_id)
    check = archetypes.find(record.body.archetype).health
    if not check.path or not archetypes.applies(check.when, plans.parameters_of(record)):
        return Nothing(detail="no public endpoint: the pipeline's rollout and its record count")
    host = plans.host_of(record, promotion.target)
    health = await read_health(host, check.path)
    said = health.digest or health.version
    wanted = data.release.digest if health.digest else data.release.commit
    if (health.status, health.application, said) != ("healthy", record.application, wanted):
        detail = f"{host} answers as {health.application} {said[:19]}: {health.status}; {wanted[:19]} was deployed"
        raise TransientIntegrationError(VendorCall("application", "read health", 200), detail)
    return Nothing(detail=f"health 200, {said[:19]}", link=f"https://{host}{check.path}")
