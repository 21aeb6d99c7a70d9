"""Which engine plans and applies an environment: its landing zone says so."""

from shared import plan as plans
from shared.iac.deployment_stack import DeploymentStack
from shared.iac.runner import IacRunner
from shared.iac.terraform_pipeline import TerraformPipeline
from shared.models.records import RequestRecord
from shared.models.runs import PipelineRun


def of_environment(record: RequestRecord, environment: str) -> IacRunner:
    """The engine of the landing zone that the request was planned for; it stays the same until the undo."""
    stack = plans.zone_of(record, environment).engine == "deployment_stack"
    return DeploymentStack() if stack else TerraformPipeline()


def of_run(started: PipelineRun) -> IacRunner:
    """The engine that started a run."""
    return DeploymentStack() if started.place else TerraformPipeline()
