"""Workflow files: reading them, when they run, and with which inputs.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
"""

import fnmatch
import itertools
import re
from typing import Any

import yaml

from local.vendors.actions.expressions import text

Json = dict[str, Any]
SKIP = re.compile(r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]")
FOLDER = ".github/workflows"


class _Loader(yaml.SafeLoader):
    """YAML 1.2 booleans: `on` is a word."""


_BOOLEAN, _TIME = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in {_BOOLEAN, _TIME}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(true|false|True|False|TRUE|FALSE)$"), list("tTfF"))


def load(content: bytes) -> Json:
    """Read a workflow; ValueError says what is wrong with it."""
    try:
        workflow = yaml.load(content, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"Invalid workflow file: {error}") from None
    if not isinstance(workflow, dict) or not isinstance(workflow.get("jobs"), dict) or "on" not in workflow:
        raise ValueError("Invalid workflow file: it needs `on` and `jobs`")
    triggers = workflow["on"]
    names = [triggers] if isinstance(triggers, str) else triggers
    workflow["on"] = {name: (triggers[name] if isinstance(triggers, dict) else None) or {} for name in names}
    for job in workflow["jobs"].values():
        needs = job.get("needs") or []
        job["needs"] = [needs] if isinstance(needs, str) else needs
        if unknown := set(job["needs"]) - workflow["jobs"].keys():
            raise ValueError(f"Invalid workflow file: job needs unknown jobs {sorted(unknown)}")
    return workflow


def is_triggered(workflow: Json, event: str, branch: str, files: list[str]) -> bool:
    """Whether an event starts the workflow: branch and path filters of `push` and `pull_request`."""
    if event not in workflow["on"]:
        return False
    rules = workflow["on"][event]
    if "branches" in rules and not _matches(branch, rules["branches"]):
        return False
    if _matches(branch, rules.get("branches-ignore", [])):
        return False
    if "paths" in rules and not any(_matches(file, rules["paths"]) for file in files):
        return False
    return "paths-ignore" not in rules or not all(_matches(file, rules["paths-ignore"]) for file in files)


def inputs_of(workflow: Json, given: Json) -> Json:
    """The inputs of a dispatch with defaults and types; ValueError in GitHub's words."""
    if "workflow_dispatch" not in workflow["on"]:
        raise ValueError("Workflow does not have 'workflow_dispatch' trigger")
    declared = workflow["on"]["workflow_dispatch"].get("inputs") or {}
    if unexpected := [name for name in given if name not in declared]:
        raise ValueError(f"Unexpected inputs provided: {unexpected}".replace("'", '"'))
    if len(given) > 25:
        raise ValueError("you may only define up to 25 `inputs` for a `workflow_dispatch` event")
    return {name: _input(name, rule or {}, given.get(name)) for name, rule in declared.items()}


def matrix_of(job: Json) -> list[Json]:
    """The combinations of a job's matrix; one empty combination without a matrix."""
    matrix = dict((job.get("strategy") or {}).get("matrix") or {})
    include, exclude = matrix.pop("include", []), matrix.pop("exclude", [])
    combinations: list[Json] = [
        dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())
    ]
    kept = [one for one in combinations if not any(rule.items() <= one.items() for rule in exclude)]
    if not matrix:
        return list(include) or [{}]
    for extra in include:
        fits = [
            one for one in kept if all(one.get(key, value) == value for key, value in extra.items() if key in matrix)
        ]
        for one in fits:
            one.update(extra)
        if not fits:
            kept.append(dict(extra))
    return kept


def _input(name: str, rule: Json, value: Any) -> Any:
    kind = rule.get("type", "string")
    value = value if value is not None else rule.get("default")
    if value is None or (value == "" and rule.get("required")):
        if rule.get("required"):
            raise ValueError(f"Required input '{name}' not provided")
        value = False if kind == "boolean" else ""
    if kind == "choice" and value not in rule["options"]:
        raise ValueError(f"Provided value '{value}' for input '{name}' not in the list of allowed values")
    if kind == "boolean" and text(value) not in {"true", "false"}:
        raise ValueError(f"Provided value '{value}' for input '{name}' must be a boolean")
    return text(value) == "true" if kind == "boolean" else text(value)


def _matches(name: str, patterns: list[str]) -> bool:
    """GitHub's filter patterns, the last match decides; `*` does not cross a slash."""
    matched = False
    for pattern in patterns:
        negative, glob = pattern.startswith("!"), pattern.removeprefix("!")
        expression = re.escape(glob).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
        if re.fullmatch(expression, name) or (fnmatch.fnmatchcase(name, glob) and "/" not in name):
            matched = not negative
    return matched
