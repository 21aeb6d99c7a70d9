"""How the data of an application is protected, beside what the rules demand."""

from datetime import UTC, datetime

from pydantic import Field

from shared import protection
from shared.authorisation import SEE
from shared.backup_coverage import coverage
from shared.backup_rules import BackupRule, backup_rule
from shared.errors import NotFoundError
from shared.models import Model
from shared.models.backups import Coverage
from shared.register import drills, requests
from triggers._http import Answer, Call, endpoint
from triggers.http_catalogue import visible_application


class BackupCoverage(Model):
    """The data resources of an application, and what is wrong with their protection."""

    rules: dict[str, BackupRule] = Field(description="What `rules/backups.yaml` demands of each stage.")
    resources: list[Coverage] = Field(description="Every data resource of every stage.")
    violations: list[str] = Field(description="Everything that is wrong, a sentence each.")
    unreadable: list[str] = Field(description="Stages that could not be looked at, with the reason.")


@endpoint(
    "GET",
    "applications/{name}/backups",
    action=SEE,
    summary="How an application's data is protected: recovery points, drills, violations.",
    answers={200: BackupCoverage},
)
async def list_backups(call: Call) -> Answer:
    """Show each data resource of each stage; backups, restores and drills are Day-2 operations."""
    application = await visible_application(call)
    request = await requests.get(application.name, application.request_id)
    known, now = await drills.of_application(application.name), datetime.now(UTC)
    made = datetime.fromisoformat(application.created_at).date()
    rules = {stage: backup_rule(stage) for stage in application.environments}
    found, unreadable = list[Coverage](), list[str]()
    for stage, rule in rules.items():
        try:
            resources = await protection.data_resources(request, stage, now)
        except NotFoundError as error:
            unreadable.append(f"{stage}: {error}")
            continue
        found += [coverage(resource, rule, known, now, made) for resource in resources]
    sentences = [sentence for item in found for sentence in item.violations]
    report = BackupCoverage(rules=rules, resources=found, violations=sentences, unreadable=unreadable)
    return Answer(200, report.document())
