"""The GraphQL endpoint: documents, and errors in GitHub's manner.

https://docs.github.com/graphql/guides/forming-calls-with-graphql
"""

from pathlib import Path
from typing import Any

from aiohttp import web
from graphql import GraphQLError, OperationDefinitionNode, OperationType, build_schema, execute_sync, parse, validate

from local.vendors.github.api import body
from local.vendors.github.repository import BOT
from local.vendors.github.tokens import GRANT
from local.vendors.kernel import MUTATING, Kernel

from .mutations import Mutations
from .projects import Projects

SCHEMA = build_schema(Path(__file__).with_name("schema.graphql").read_text())

type Json = dict[str, Any]


class Endpoint:
    """Handler of the one route."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._root = Mutations(Projects(kernel)).root()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Tokens and limits are GitHub's; a refused document is a 200, too."""
        response: web.StreamResponse = await self._kernel.vendor("github").guard(self._answer)(request)
        response.headers["X-RateLimit-Resource"] = "graphql"
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        sent = await body(request)
        query, name = sent.get("query"), sent.get("operationName")
        if not isinstance(query, str):
            return _refusal({"message": "A query attribute must be specified and must be a string."})
        try:
            document = parse(query)
        except GraphQLError as error:
            return _refusal({"message": f"Parse error: {error.message}", "locations": _locations(error)})
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        chosen = [node for node in operations if name is None or (node.name and node.name.value == name)]
        request[MUTATING] = any(node.operation is OperationType.MUTATION for node in chosen)
        if wrong := validate(SCHEMA, document):
            return _refusal(*map(_invalid, wrong))
        if request[GRANT]["actor"] != BOT:  # the token of a workflow's job
            return _refusal({"type": "FORBIDDEN", "message": "Resource not accessible by integration"})
        result = execute_sync(SCHEMA, document, self._root, variable_values=sent.get("variables"), operation_name=name)
        errors = {"errors": [_error(error) for error in result.errors]} if result.errors else {}
        return web.json_response({"data": result.data} | errors)


def _refusal(*errors: Json) -> web.Response:
    return web.json_response({"errors": errors})


def _locations(error: GraphQLError) -> list[Json]:
    return [{"line": place.line, "column": place.column} for place in error.locations or []]


def _invalid(error: GraphQLError) -> Json:
    code = "undefinedField" if error.message.startswith("Cannot query field") else "invalidDocument"
    return {"message": error.message, "locations": _locations(error), "extensions": {"code": code}}


def _error(error: GraphQLError) -> Json:
    """An error of a resolver: GitHub writes its type beside the message. One without a type is a wrong variable."""
    told: Json = {"message": error.message, "locations": _locations(error)}
    told |= {"path": error.path} if error.path else {}
    kind = (error.extensions or {}).get("type")
    return told | ({"type": kind} if kind else {"extensions": {"code": "invalidVariable"}})
