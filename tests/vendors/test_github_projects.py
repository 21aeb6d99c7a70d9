"""The stand-in for GitHub Projects answers as GitHub's schema and its documented errors say."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLSchema
from graphql.utilities import find_breaking_changes

from local.vendors import github_projects, github_saml
from local.vendors.entra.directory import object_id
from local.vendors.github_projects.endpoint import SCHEMA
from local.vendors.kernel import Vendor
from shared.clients import _github_projects as documents
from tests.contracts.github_schema import complaints, schema
from tests.vendors.github_world import REPO, World

COLUMNS = 'field(name: "Status") { ... on ProjectV2SingleSelectField { id options { id name } } }'
PROJECT = f"projectV2 {{ id number title url shortDescription readme creator {{ login }} {COLUMNS} }}"


class Board(World):
    """The GitHub stand-in with its projects."""

    def others(self) -> list[Vendor]:
        return [*super().others(), github_saml.build(self.kernel), github_projects.build(self.kernel)]

    async def ask(self, query: str, token: str | None = None, **variables: Any) -> Any:
        return await self.call("POST", "/graphql", {"query": query, "variables": variables}, token=token)

    async def data(self, query: str, **variables: Any) -> Any:
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def refused(self, query: str, **variables: Any) -> tuple[str, list[Any]]:
        answer = await self.ask(query, **variables)
        return answer["errors"][0]["type"], answer["errors"][0]["path"]

    async def project(self, title: str = "Shop", repository: str | None = None) -> Any:
        query = "mutation($o: ID!, $r: ID, $t: String!) { made: createProjectV2(input: {ownerId: $o, repositoryId: $r,"
        query += f" title: $t}}) {{ {PROJECT} }} }}"
        owner = (await self.data('{ organization(login: "contoso") { id } }'))["organization"]["id"]
        return (await self.data(query, o=owner, r=repository, t=title))["made"]["projectV2"]

    async def draft(self, project: Any, title: str, body: str = "") -> str:
        query = "mutation($p: ID!, $t: String!, $b: String) { made: addProjectV2DraftIssue(input: {projectId: $p,"
        query += " title: $t, body: $b}) { projectItem { id } } }"
        return str((await self.data(query, p=project["id"], t=title, b=body))["made"]["projectItem"]["id"])


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    made = Board(tmp_path)
    await made.start()
    yield made
    await made.stop()


def _members(whole: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Every member of a schema's types with its exact type, and every argument."""
    for name, kind in whole.type_map.items():
        fields: dict[str, Any] = getattr(kind, "fields", {})
        for member, field in fields.items() if not name.startswith("__") else ():
            yield f"{name}.{member}", str(field.type)
            for argument, value in getattr(field, "args", {}).items():
                yield f"{name}.{member}({argument})", str(value.type)


def test_the_schema_is_a_cut_of_githubs_own() -> None:
    real = dict(_members(schema()))
    cut = dict(_members(SCHEMA))
    assert len(cut) > 100
    assert {name: kind for name, kind in cut.items() if real.get(name) != kind} == {}
    assert [change.description for change in find_breaking_changes(SCHEMA, schema())] == []


def _sent() -> dict[str, str]:
    """Every document that the client sends."""
    whole = {name: text for name, text in vars(documents).items() if name.isupper() and isinstance(text, str)}
    found = {name: text for name, text in whole.items() if "query " in text or "mutation " in text}
    several = {"ADD": documents.ADD, "PLACE": documents.PLACE}
    return found | {name: documents.several(*parts, 3) for name, parts in several.items()}


def test_every_document_of_the_client_is_valid_at_github() -> None:
    assert len(_sent()) == 12
    for name, text in _sent().items():
        wrong = [error for error in complaints({"query": text}) if not error.startswith("Variable '$")]
        assert wrong == [], name


def test_the_check_of_documents_finds_what_is_wrong() -> None:
    good = {"query": documents.LINK, "variables": {"board": "a", "repository": "b"}}
    assert complaints(good) == []
    for wrong in (
        {"query": documents.LINK.replace("repository { id }", "repository { ident }")},
        {"query": documents.LINK.replace("projectId", "project")},
        {"variables": {"board": "a"}},
        {"variables": {"board": "a", "repository": "b", "title": "c"}},
        {"query": "mutation {"},
        {"query": None},
    ):
        assert complaints(good | wrong), wrong


async def test_who_has_no_token_is_refused(board: Board) -> None:
    for token, said in (("ghs_wrong", "Bad credentials"), ("", "Requires authentication")):
        refused = await board.call("POST", "/graphql", {"query": "{ __typename }"}, token=token, status=401)
        assert refused["message"] == said
    assert (await board.call("GET", "/graphql", status=501))["status"] == 501
    assert (await board.call("GET", REPO, status=404))["message"] == "Not Found"  # the rest of the host is GitHub's
    assert await board.data("{ __typename }") == {"__typename": "Query"}
    assert board.headers["X-RateLimit-Resource"] == "graphql"


async def test_a_document_that_is_wrong_is_refused_with_200(board: Board) -> None:
    for query, said in (
        ("{ organization(login: 1) { id } }", "String cannot represent"),
        ('{ organization(login: "contoso") { budget } }', "Cannot query field 'budget'"),
        ("{", "Parse error"),
        (None, "A query attribute must be specified"),
    ):
        answer = await board.call("POST", "/graphql", {"query": query})
        assert said in answer["errors"][0]["message"]
        assert "data" not in answer
    query = "query($n: String!) { organization(login: $n) { id } }"
    assert (await board.ask(query))["errors"][0]["extensions"] == {"code": "invalidVariable"}


async def test_what_is_not_there_is_named_and_the_rest_answered(board: Board) -> None:
    query = '{ organization(login: "contoso") { login } repository(owner: "contoso", name: "none") { id } }'
    answer = await board.ask(query)
    assert answer["data"] == {"organization": {"login": "contoso"}, "repository": None}
    (error,) = answer["errors"]
    assert (error["type"], error["path"]) == ("NOT_FOUND", ["repository"])
    assert error["message"] == "Could not resolve to a Repository with the name 'contoso/none'."
    assert await board.refused('{ node(id: "PVT_none") { id } }') == ("NOT_FOUND", ["node"])
    assert await board.refused('{ organization(login: "fabrikam") { id } }') == ("NOT_FOUND", ["organization"])


async def test_a_project_begins_with_three_columns_and_is_found_by_words_of_its_title(board: Board) -> None:
    repository = await board.create()
    made = await board.project("Shop (draft)", repository["node_id"])
    assert (made["number"], made["creator"]["login"]) == (1, "appstore-orchestrator[bot]")
    assert [option["name"] for option in made["field"]["options"]] == ["Todo", "In Progress", "Done"]
    again = await board.project("Shop (draft)")
    assert again["id"] != made["id"]  # titles are not unique
    query = (
        'query($q: String, $a: String) { organization(login: "contoso") { projectsV2(first: 1, query: $q, after: $a)'
    )
    query += " { totalCount nodes { number } pageInfo { hasNextPage endCursor } } } }"
    first = (await board.data(query, q="shop draft"))["organization"]["projectsV2"]
    assert (first["totalCount"], first["nodes"], first["pageInfo"]["hasNextPage"]) == (2, [{"number": 2}], True)
    rest = (await board.data(query, q="shop", a=first["pageInfo"]["endCursor"]))["organization"]["projectsV2"]
    assert (rest["nodes"], rest["pageInfo"]["hasNextPage"]) == ([{"number": 1}], False)
    assert (await board.data(query, q="cart"))["organization"]["projectsV2"]["totalCount"] == 0
    linked = '{ repository(owner: "contoso", name: "payments-api") { projectsV2(first: 9) { nodes { number } } } }'
    assert (await board.data(linked))["repository"]["projectsV2"]["nodes"] == [{"number": 1}]
    assert await board.refused(query.replace("first: 1, ", "")) == (
        "MISSING_PAGINATION_BOUNDARIES",
        ["organization", "projectsV2"],
    )
    assert (await board.refused(query.replace("first: 1,", "first: 101,")))[0] == "EXCESSIVE_PAGINATION"
    assert (await board.refused(query, a="x"))[0] == "INVALID_CURSOR_ARGUMENTS"


async def test_a_project_is_described_linked_and_deleted(board: Board) -> None:
    repository, made = await board.create(), await board.project()
    update = 'mutation($p: ID!, $t: String) { done: updateProjectV2(input: {projectId: $p, title: $t, readme: "r",'
    update += f' shortDescription: "s"}}) {{ {PROJECT} }} }}'
    changed = (await board.data(update, p=made["id"], t="New"))["done"]["projectV2"]
    assert (changed["title"], changed["readme"], changed["shortDescription"]) == ("New", "r", "s")
    assert (await board.refused(update, p=made["id"], t=" "))[0] == "UNPROCESSABLE"
    linking = {"board": made["id"], "repository": repository["node_id"]}
    for _ in range(2):
        assert (await board.data(documents.LINK, **linking))["result"]["repository"]["id"] == repository["node_id"]
    node = "query($p: ID!) { node(id: $p) { ... on ProjectV2 { title repositories(first: 9) { nodes { name } } } } }"
    read = (await board.data(node, p=made["id"]))["node"]
    assert read == {"title": "New", "repositories": {"nodes": [{"name": "payments-api"}]}}
    assert (await board.data(documents.DELETE, board=made["id"]))["result"]["projectV2"]["id"] == made["id"]
    assert await board.refused(documents.DELETE, board=made["id"]) == ("NOT_FOUND", ["result"])


async def test_new_columns_are_new_options_and_items_lose_theirs(board: Board) -> None:
    made = await board.project()
    item, field = await board.draft(made, "First"), made["field"]["id"]
    places = {"board": made["id"], "field": field, "item0": item}
    place = documents.several(*documents.PLACE, 1)
    done = made["field"]["options"][2]["id"]
    await board.data(place, **places, value0={"singleSelectOptionId": done})
    listed = (await board.data(documents.ITEMS, board=made["id"], after=None))["node"]["items"]["nodes"]
    assert [node["fieldValueByName"] for node in listed] == [{"name": "Done"}]
    options = [{"name": name, "color": "GRAY", "description": ""} for name in ("Backlog", "Done")]
    changed = (await board.data(documents.SET_COLUMNS, field=field, options=options))["result"]["projectV2Field"]
    assert [option["name"] for option in changed["options"]] == ["Backlog", "Done"]
    listed = (await board.data(documents.ITEMS, board=made["id"], after=None))["node"]["items"]["nodes"]
    assert [node["fieldValueByName"] for node in listed] == [None]
    refused = await board.refused(place, **places, value0={"singleSelectOptionId": done})
    assert refused == ("VALIDATION", ["item0"])


async def test_of_several_mutations_in_one_document_each_is_done_or_refused_by_itself(board: Board) -> None:
    made = await board.project()
    add = documents.several(*documents.ADD, 3)
    titles = {"title0": "One", "title1": " ", "title2": "Three", "body0": "a", "body1": "b", "body2": "c"}
    answer = await board.ask(add, board=made["id"], **titles)
    assert [(error["type"], error["path"]) for error in answer["errors"]] == [("UNPROCESSABLE", ["item1"])]
    assert answer["data"]["item1"] is None
    listed = (await board.data(documents.ITEMS, board=made["id"], after=None))["node"]["items"]["nodes"]
    assert [node["content"] for node in listed] == [{"title": "One", "body": "a"}, {"title": "Three", "body": "c"}]
    gone = await board.data(documents.REMOVE_ITEM, board=made["id"], item=listed[0]["id"])
    assert gone["result"]["deletedItemId"] == listed[0]["id"]
    refused = await board.refused(documents.REMOVE_ITEM, board=made["id"], item=listed[0]["id"])
    assert refused == ("NOT_FOUND", ["result"])


async def test_the_token_of_a_job_reaches_no_project(board: Board) -> None:
    repository = await board.create()
    found = board.kernel.vendor("github").repository("contoso", repository["name"])
    token = board.kernel.vendor("github").job_token(found)
    answer = await board.ask('{ organization(login: "contoso") { id } }', token=token)
    assert answer == {"errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]}


async def test_only_a_mutation_counts_as_a_change(board: Board) -> None:
    await board.project()
    entries = board.kernel._journal.read(0, "github_projects")
    assert [entry["mutating"] for entry in entries] == [False, True]


async def test_an_account_is_who_signs_in_with_it(board: Board) -> None:
    query = """query($login: String!) { organization(login: "contoso") { samlIdentityProvider {
        externalIdentities(first: 5, login: $login) {
          nodes { user { login } samlIdentity { nameId attributes { name value } } } } } } }"""
    assert complaints({"query": query, "variables": {"login": "x"}}) == []

    async def nodes(login: str) -> Any:
        found = (await board.data(query, login=login))["organization"]["samlIdentityProvider"]
        return found["externalIdentities"]["nodes"]

    (found,) = await nodes("Approver-at-contoso")
    (attribute,) = found["samlIdentity"]["attributes"]
    assert (found["user"]["login"], attribute["value"]) == ("approver-at-contoso", object_id("approver"))
    assert await nodes("stranger") == []
