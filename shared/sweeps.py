"""What sweep and removal have in common: the moment, the stages, and the groups in which they look."""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.clean_up_rules import CleanUpSettings, Policy, clean_up_policies, clean_up_settings
from shared.models.clean_up import CleanUp, OrphanRecord
from shared.models.operations import Occasion, OperationRecord
from shared.models.records import ApplicationRecord, RequestRecord
from shared.models.runs import ActivityInput
from shared.plan import group_of
from shared.register import operations, orphans, requests


@dataclass(frozen=True)
class Sweep:
    """An operation of the clean-up, and where it looks.

    Attributes:
        at: its moment.
        groups: ARM ids of the resource groups by stage.
        policies, settings: as the files are now.
    """

    operation: OperationRecord
    application: ApplicationRecord
    request: RequestRecord
    at: datetime
    groups: dict[str, str]
    policies: tuple[Policy, ...]
    settings: CleanUpSettings

    def stage_of(self, resource: str) -> str | None:
        """The stage in whose group a resource lies; None: it is somewhere else."""
        below = resource.lower()
        return next((stage for stage, group in self.groups.items() if below.startswith(f"{group.lower()}/")), None)

    async def orphans(self) -> dict[str, OrphanRecord]:
        """The orphans of these stages, by their ids in lower case."""
        found = await orphans.of_application(self.application.name)
        return {orphan.resource.lower(): orphan for orphan in found if orphan.environment in self.groups}


async def sweep_of(data: ActivityInput) -> Sweep:
    """The sweep of an operation.

    Raises:
        ConfigurationError: a policy is not in our part of the language.
    """
    operation = await operations.get(data.run.application, data.run.request_id)
    application = await requests.application(operation.application)
    assert application is not None, "an operation is of an application"  # noqa: S101 - the intake demands it
    request = await requests.get(application.name, application.request_id)
    stages = [operation.environment] if operation.environment else application.environments
    groups = {stage: group_of(request, stage) for stage in stages}
    return Sweep(operation, application, request, _moment(operation), groups, clean_up_policies(), clean_up_settings())


def _moment(operation: OperationRecord) -> datetime:
    """The timer's own moment, however late it is worked off; nobody else can bring a day nearer."""
    said = CleanUp.model_validate(operation.parameters).at
    return said if said and operation.occasion is Occasion.TIMER else datetime.now(UTC)
