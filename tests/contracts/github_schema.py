"""GitHub's own GraphQL schema, as published on npm: what every document is held against."""

from functools import cache
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

from local import npm
from local.processes import keep_caches_in

MANIFEST = Path(__file__).with_name("github_graphql")


@cache
def schema() -> GraphQLSchema:
    """The whole public schema, installed once from the lock."""
    keep_caches_in(npm.CACHE)
    packages = npm.install(npm.find_node(), MANIFEST, npm.CACHE / "github-graphql")
    text = (packages / "@octokit" / "graphql-schema" / "schema.graphql").read_text(encoding="utf-8")
    return build_schema(text, assume_valid=True, no_location=True)


def complaints(body: Any) -> list[str]:
    """What GitHub's schema says against the body of a call: its document and its variables."""
    try:
        document = parse(body["query"])
    except (GraphQLError, KeyError, TypeError) as error:
        return [f"no document: {error}"]
    wrong = [error.message for error in validate(schema(), document)]
    operation = get_operation_ast(document, body.get("operationName"))
    if wrong or not isinstance(operation, OperationDefinitionNode):
        return wrong or ["no operation"]
    given = body.get("variables") or {}
    values = get_variable_values(schema(), operation.variable_definitions, given)
    named = {definition.variable.name.value for definition in operation.variable_definitions}
    unknown = [f"variable {name} is not in the document" for name in given if name not in named]
    return unknown + ([error.message for error in values] if isinstance(values, list) else [])
