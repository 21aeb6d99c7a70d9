"""Inputs and results of the catalogue branch: what is registered in Backstage, and the template that runs there."""

from shared.models.runs import ActivityInput, Effect


class CatalogueInput(ActivityInput):
    """Register an application, or run the template for it.

    Attributes:
        operation: request id and attempt, so that a retry looks again at what an earlier attempt has done.
    """

    operation: str


class Registration(Effect):
    """A registered location.

    Attributes:
        location_id: Backstage's own id.
        target: address of the file that Backstage reads.
        entities: references of the entities that it brings.
        template: whether the request runs a template, too.
    """

    location_id: str
    target: str
    entities: list[str]
    template: bool = False


class ReadRegistration(ActivityInput):
    """Look whether the entities of a location are there."""

    target: str
    entities: list[str]


class Visibility(Effect):
    """References of the entities that are not there yet."""

    missing: list[str] = []


class TemplateTask(Effect):
    """A task of the scaffolder."""

    task_id: str
    ended: bool = False


class ReadTemplate(ActivityInput):
    """Look at a task of the scaffolder."""

    task_id: str
