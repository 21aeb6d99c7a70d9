"""What is said to GitHub Projects: the documents that are sent, and what their answers look like.

Documentation: https://docs.github.com/graphql/reference
"""

from shared.models import Model

BOARD = """
fragment Board on ProjectV2 {
  id number title url shortDescription repositories(first: 20) { nodes { nameWithOwner } }
}
"""
STATUS = "... on ProjectV2SingleSelectField { id options { id name } }"
FIND = f"""{BOARD}
query FindBoards($owner: String!, $name: String!, $title: String!, $after: String) {{
  organization(login: $owner) {{
    projectsV2(first: 100, after: $after, query: $title) {{
      nodes {{ ...Board }} pageInfo {{ hasNextPage endCursor }}
    }}
  }}
  repository(owner: $owner, name: $name) {{ projectsV2(first: 100) {{ nodes {{ ...Board }} }} }}
}}
"""
OWNER = """
query FindOwner($owner: String!, $name: String!) {
  organization(login: $owner) { id }
  repository(owner: $owner, name: $name) { id }
}
"""
CREATE = f"""{BOARD}
mutation CreateBoard($owner: ID!, $repository: ID!, $title: String!) {{
  result: createProjectV2(input: {{ownerId: $owner, repositoryId: $repository, title: $title}}) {{
    projectV2 {{ ...Board }}
  }}
}}
"""
DESCRIBE = f"""{BOARD}
mutation DescribeBoard($board: ID!, $title: String!, $about: String!, $readme: String!) {{
  result: updateProjectV2(input: {{projectId: $board, title: $title, shortDescription: $about, readme: $readme}}) {{
    projectV2 {{ ...Board }}
  }}
}}
"""
LINK = """
mutation LinkRepository($board: ID!, $repository: ID!) {
  result: linkProjectV2ToRepository(input: {projectId: $board, repositoryId: $repository}) { repository { id } }
}
"""
COLUMNS = f"""
query ReadColumns($board: ID!) {{ node(id: $board) {{ ... on ProjectV2 {{ field(name: "Status") {{ {STATUS} }} }} }} }}
"""
SET_COLUMNS = f"""
mutation SetColumns($field: ID!, $options: [ProjectV2SingleSelectFieldOptionInput!]!) {{
  result: updateProjectV2Field(input: {{fieldId: $field, singleSelectOptions: $options}}) {{
    projectV2Field {{ {STATUS} }}
  }}
}}
"""
ITEMS = """
query ListItems($board: ID!, $after: String) {
  node(id: $board) { ... on ProjectV2 {
    items(first: 100, after: $after) {
      nodes {
        id createdAt
        fieldValueByName(name: "Status") { ... on ProjectV2ItemFieldSingleSelectValue { name } }
        content { ... on DraftIssue { title body } ... on Issue { title body } }
      }
      pageInfo { hasNextPage endCursor }
    }
  } }
}
"""
REMOVE_ITEM = """
mutation RemoveItem($board: ID!, $item: ID!) {
  result: deleteProjectV2Item(input: {projectId: $board, itemId: $item}) { deletedItemId }
}
"""
ADD = (
    "AddItems($board: ID!",
    ", $title#: String!, $body#: String!",
    "addProjectV2DraftIssue(input: {projectId: $board, title: $title#, body: $body#}) { projectItem { id } }",
)
PLACE = (
    "PlaceItems($board: ID!, $field: ID!",
    ", $item#: ID!, $value#: ProjectV2FieldValue!",
    (
        "updateProjectV2ItemFieldValue(input: {projectId: $board, fieldId: $field, itemId: $item#, value: $value#}) "
        "{ projectV2Item { id } }"
    ),
)
DELETE = """
mutation DeleteBoard($board: ID!) { result: deleteProjectV2(input: {projectId: $board}) { projectV2 { id } } }
"""
COLOURS = ("GRAY", "BLUE", "YELLOW", "ORANGE", "PURPLE", "PINK")


def several(head: str, names: str, call: str, count: int) -> str:
    """A document that makes one call several times, each under its own alias; # stands for the number."""
    given = "".join(names.replace("#", str(number)) for number in range(count))
    calls = "\n".join(f"  item{number}: {call.replace('#', str(number))}" for number in range(count))
    return f"mutation {head}{given}) {{\n{calls}\n}}\n"


class Id(Model):
    """An object of which only the id matters."""

    id: str


class Page(Model):
    """Where a list goes on."""

    has_next_page: bool
    end_cursor: str | None = None


class Linked(Model):
    """A repository that a project is linked to."""

    name_with_owner: str


class Links(Model):
    """The repositories of a project."""

    nodes: list[Linked]


class Project(Model):
    """A project: the fragment ``Board``."""

    id: str
    number: int
    title: str
    url: str
    short_description: str | None = None
    repositories: Links


class Projects(Model):
    """A page of projects."""

    nodes: list[Project]
    page_info: Page = Page(has_next_page=False)


class Holder(Model):
    """What has projects: an organisation or a repository."""

    projects_v2: Projects


class Found(Model):
    """Answer of ``FIND``."""

    organization: Holder
    repository: Holder | None = None


class Owner(Model):
    """Answer of ``OWNER``."""

    organization: Id
    repository: Id


class Changed(Model):
    """A project that was created or updated."""

    project_v2: Project


class Option(Model):
    """An option of a single select field: a column."""

    id: str
    name: str


class Status(Model):
    """The field Status."""

    id: str
    options: list[Option]


class Columns(Model):
    """Answer of ``COLUMNS``."""

    field: Status


class Replaced(Model):
    """The field Status with new options."""

    project_v2_field: Status


class Name(Model):
    """Value of a single select field."""

    name: str | None = None


class Content(Model):
    """A draft issue, or the issue that it was converted to."""

    title: str = ""
    body: str = ""


class Item(Model):
    """An item of a project."""

    id: str
    created_at: str
    field_value_by_name: Name | None
    content: Content | None = None


class Items(Model):
    """A page of items."""

    nodes: list[Item]
    page_info: Page


class Listed(Model):
    """Answer of ``ITEMS``."""

    items: Items


class Linking(Model):
    """The repository that was linked."""

    repository: Id


class Added(Model):
    """The item of a new draft issue."""

    project_item: Id


class Placed(Model):
    """The item whose status was set."""

    project_v2_item: Id


class Removed(Model):
    """The item that was deleted."""

    deleted_item_id: str


class Deleted(Model):
    """The project that was deleted."""

    project_v2: Id


class Node[T](Model):
    """The object of an id."""

    node: T


class Result[T](Model):
    """What the one call of a mutation gave."""

    result: T
