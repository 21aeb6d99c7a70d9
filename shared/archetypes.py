"""Archetypes: what can be ordered, as folders of data. A new one needs no line of Python."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from shared.errors import ArchetypeError, RequestRejectedError
from shared.models.archetype import Credential, Data, GlobalName, HealthCheck, Source
from shared.models.plan import Change
from shared.settings import Settings, load

ROOT = Path(__file__).resolve().parents[1] / "archetypes"


class ArchetypeSettings(Settings):
    """What can be ordered."""

    model_config = SettingsConfigDict(env_prefix="ARCHETYPES_", frozen=True, extra="ignore")

    folder: str = Field(default="", description="Folder of the archetypes; empty: the one that comes with the app.")


def folder() -> Path:
    """Where the archetypes are."""
    chosen = load(ArchetypeSettings).folder
    return Path(chosen) if chosen else ROOT


class Link(Data):
    """A link that people get; placeholders are filled in when the application exists."""

    title: str
    url: str
    scope: str
    when: dict[str, Any] = {}


class Step(Data):
    """A step as a requester sees it."""

    id: str
    title: str
    description: str


class WorkItem(Data):
    """An item that the team's board starts with; ``id`` is what it is known by on the board."""

    id: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    title: str = Field(min_length=1, max_length=200)
    body: str
    column: str
    when: dict[str, Any] = {}


class BoardTemplate(Data):
    """An archetype's ``board.yaml``."""

    columns: list[str] = Field(min_length=2)
    items: list[WorkItem] = []

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ids = [item.id for item in self.items]
        if len(set(ids)) < len(ids) or len(set(self.columns)) < len(self.columns):
            raise ValueError("ids and columns are unique")
        if unknown := {item.column for item in self.items} - set(self.columns):
            raise ValueError(f"there is no column {', '.join(sorted(unknown))}")
        return self


class Archetype(Data):
    """An archetype's ``archetype.yaml``.

    Attributes:
        stack: Terraform stack of an environment, a folder of ``infra/stacks``.
        template: ARM template of an environment, a file of ``infra/arm``; empty: there is none, and landing zones with
            deployment stacks are not for it.
        roles: app roles that see it and may order it.
        parameters: JSON Schema of a request's ``parameters``.
        layers: folders whose skeletons are rendered before the archetype's own; a later one wins.
        names: further global names, by the key that the stack's variable ``names`` has for each.
        variables: variable of the stack -> parameter.
        answers: answer of the skeleton -> parameter.
        pipeline: variable of the repository's environments -> where its value comes from.
        credentials: who may act as which identity, one of the stack's outputs.
    """

    id: str
    title: str
    description: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    lifecycle: str
    stack: str
    template: str = Field(default="", pattern=r"^[a-z0-9_]*$")
    owner: str
    roles: list[str]
    environments: list[str]
    parameters: dict[str, Any]
    steps: list[Step]
    links: list[Link] = []
    layers: list[str] = ["_common"]
    names: dict[str, GlobalName] = {}
    variables: dict[str, str] = {}
    answers: dict[str, str] = {}
    pipeline: dict[str, Source] = {}
    credentials: list[Credential] = []
    health: HealthCheck

    @model_validator(mode="after")
    def _parameters_exist(self) -> Self:
        used = {*self.variables.values(), *self.answers.values(), *self.health.when}
        used |= {source.parameter for source in self.pipeline.values() if source.parameter}
        if unknown := used - set(self.parameters.get("properties", {})):
            raise ValueError(f"there is no parameter {', '.join(sorted(unknown))}")
        return self


class PlannedObject(Data):
    """An object of ``stack.yaml``: what an order makes, where, and what it costs."""

    id: str
    system: str
    owner: str
    type: str
    name: str
    scope: str
    when: dict[str, Any] = {}
    prices: dict[str, dict[str, float]] = {}


class _Stack(Data):
    stack: str
    objects: list[PlannedObject]


@lru_cache(maxsize=64)
def _read(path: Path, _modified: int) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ArchetypeError(str(path), "cannot be read as YAML") from error


def _document(path: Path) -> Any:
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise ArchetypeError(str(path), "is missing") from error


def catalogue(root: Path | None = None) -> list[Archetype]:
    """Every archetype, by id."""
    place = root or folder()
    return [_archetype(place / name) for name in sorted(path.parent.name for path in place.glob("*/archetype.yaml"))]


def find(archetype: str, root: Path | None = None) -> Archetype:
    """One archetype.

    Raises:
        RequestRejectedError: there is none with this id; the sentence lists the ids.
    """
    known = {item.id: item for item in catalogue(root)}
    if archetype not in known:
        detail = f"There is no archetype {archetype}; there are: {', '.join(sorted(known))}."
        raise RequestRejectedError("unknown-archetype", detail, pointer="/archetype")
    return known[archetype]


def _archetype(place: Path) -> Archetype:
    return _parsed(Archetype, place / "archetype.yaml")


def _parsed[D: Data](kind: type[D], path: Path) -> D:
    try:
        return kind.model_validate(_document(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise ArchetypeError(str(path), f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def complete_parameters(archetype: Archetype, given: Mapping[str, Any]) -> dict[str, Any]:
    """The request's parameters with the schema's defaults.

    Raises:
        RequestRejectedError: a parameter is unknown or not allowed; the pointer names it.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 35 ms

    validator = Draft202012Validator(archetype.parameters)
    for error in sorted(validator.iter_errors(dict(given)), key=lambda item: list(item.absolute_path)):
        pointer = "/parameters" + "".join(f"/{part}" for part in error.absolute_path)
        raise RequestRejectedError("invalid-parameter", error.message[:200], pointer=pointer)
    properties = archetype.parameters.get("properties", {})
    defaults = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    return {**defaults, **given}


def stack_objects(archetype: str, root: Path | None = None) -> list[PlannedObject]:
    """Every object that an order of the archetype can make.

    Raises:
        ArchetypeError: the file is missing or not what it should be.
    """
    return _parsed(_Stack, (root or folder()) / archetype / "stack.yaml").objects


def chosen(parameters: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, Any]:
    """The values of some parameters by the names that they have elsewhere; one that was not given has none."""
    return {name: parameters[parameter] for name, parameter in wanted.items() if parameter in parameters}


def planned_objects(
    archetype: Archetype, parameters: Mapping[str, Any], environments: list[str], root: Path | None = None
) -> list[tuple[PlannedObject, str | None]]:
    """The objects that an order with these parameters makes, each with its environment."""
    found: list[tuple[PlannedObject, str | None]] = []
    for item in stack_objects(archetype.id, root):
        if not applies(item.when, parameters):
            continue
        if item.scope == "application":
            found.append((item, None))
        elif item.scope == "first-environment":
            found.append((item, environments[0]))
        elif item.scope == "later-environments":
            found += [(item, environment) for environment in environments[1:]]
        else:
            found += [(item, environment) for environment in environments]
    return found


def changes(objects: list[tuple[PlannedObject, str | None]], *, application: str, repository: str) -> list[Change]:
    """The objects as planned changes with their names filled in."""
    made = []
    for item, environment in objects:
        name = item.name.format(application=application, repository=repository, environment=environment or "")
        made.append(Change(system=item.system, type=item.type, name=name, environment=environment))
    return made


def price_items(objects: list[tuple[PlannedObject, str | None]]) -> list[dict[str, object]]:
    """What the objects cost, in items of the price book, per environment."""
    return [
        {"key": key, "quantity": quantity, "environment": environment}
        for item, environment in objects
        if environment
        for key, quantity in item.prices.get(environment, {}).items()
    ]


def dashboards(archetype: str, root: Path | None = None) -> dict[str, dict[str, Any]]:
    """The archetype's Grafana dashboards by name; a list of variables is added when they are put to use."""
    files = sorted(((root or folder()) / archetype / "dashboards").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def board(archetype: str, root: Path | None = None) -> BoardTemplate:
    """The board that a team starts with.

    Raises:
        ArchetypeError: the file is missing or not what it should be.
    """
    return _parsed(BoardTemplate, (root or folder()) / archetype / "board.yaml")


def work_items(template: BoardTemplate, parameters: Mapping[str, Any], **values: str) -> list[WorkItem]:
    """The items of an order with these parameters, the placeholders of their bodies filled in."""
    wanted = (item for item in template.items if applies(item.when, parameters))
    return [item.model_copy(update={"body": item.body.format(**values)}) for item in wanted]


def applies(when: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether the parameters have exactly these values; one that is not there fits no value."""
    return all(parameters.get(name) == value for name, value in when.items())


def skeleton_digest(archetype: str, root: Path | None = None) -> str:
    """SHA-256 over every file that shapes the generated repository or the plan."""
    place, total = root or folder(), hashlib.sha256()
    for layer in (*_archetype(place / archetype).layers, archetype):
        files = (item for item in (place / layer).rglob("*") if item.is_file() and "__pycache__" not in item.parts)
        for path in sorted(files):
            total.update(f"{path.relative_to(place).as_posix()}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def render(archetype: str, answers: Mapping[str, Any], root: Path | None = None) -> dict[str, tuple[str, bool]]:
    """The generated repository: path -> (text, executable). The same answers give the same bytes.

    Raises:
        ArchetypeError: the skeleton does not accept the answers or does not render.
    """
    import copier  # noqa: PLC0415 - heavy
    from copier.errors import CopierError  # noqa: PLC0415 - heavy

    with tempfile.TemporaryDirectory() as scratch:
        place, target = root or folder(), Path(scratch) / "repository"
        for layer in (*_archetype(place / archetype).layers, archetype):
            source = place / layer / "skeleton"
            try:
                copier.run_copy(str(source), target, data=dict(answers), defaults=True, overwrite=True, quiet=True)
            except (CopierError, ValueError) as error:
                raise ArchetypeError(str(source), str(error)[:500]) from error
        return {
            path.relative_to(target).as_posix(): _file(path) for path in sorted(target.rglob("*")) if path.is_file()
        }


def _file(path: Path) -> tuple[str, bool]:
    try:
        return path.read_bytes().decode("utf-8"), bool(path.stat().st_mode & 0o100)
    except UnicodeDecodeError as error:
        raise ArchetypeError(path.name, "a skeleton holds text files only") from error
