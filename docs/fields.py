"""What the fields of an archetype mean: the text of the tables in archetypes.md.

A field without an entry fails the generation, so that a new field cannot stay undocumented.
"""

ARCHETYPE_FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "Archetype": (
        "archetype.yaml",
        {
            "id": "Id in requests (`archetype`). The same as the name of the folder.",
            "title": "Name for people.",
            "description": "What one gets, in a sentence or two.",
            "version": "Semantic version, `1.0.0`. Written into the plan and into the generated repository.",
            "lifecycle": "`experimental`, `production` or `deprecated`. Shown in the catalogue; not enforced.",
            "stack": "Terraform stack of an environment: a folder of `infra/stacks`.",
            "template": "ARM template of an environment, a file of `infra/arm`; empty: Terraform only.",
            "owner": "Team that looks after the archetype. Shown in the catalogue.",
            "roles": "App roles that see the archetype and may order it.",
            "environments": "Environments it can have, in the order of promotion. Another one answers 422.",
            "parameters": "JSON Schema (draft 2020-12) of a request's `parameters`. Defaults are filled in.",
            "steps": "What a requester sees while the request is carried out. Shown in the catalogue.",
            "links": "Links that a request shows when its application exists.",
            "layers": "Folders whose skeletons are rendered first, in this order; a later file wins.",
            "names": "Further names that are unique in all of Azure, by their keys in the stack's variable `names`.",
            "variables": "Variable of the stack: the parameter it gets.",
            "answers": "Answer of `copier.yml`: the parameter it gets.",
            "pipeline": "Variable of the repository's environments: where its value comes from; empty is left out.",
            "credentials": "Service accounts that may act as an identity of the environment.",
            "health": "What counts as the end of the first deployment.",
        },
    ),
    "GlobalName": (
        "archetype.yaml, entries of names",
        {
            "prefix": "Begin of the name. Without a dash at its end the name has letters and digits only.",
            "longest": "Most characters that the vendor allows. A longer name is cut; it ends in a digest, always.",
        },
    ),
    "Source": (
        "archetype.yaml, entries of pipeline",
        {"parameter": "A parameter of the request, or", "output": "an output of the stack."},
    ),
    "Credential": (
        "archetype.yaml, entries of credentials",
        {
            "name": "Name of the federated credential; `{application}`, `{environment}`, `{namespace}`.",
            "identity": "Output of the stack that is the identity's resource id.",
            "subject": "`system:serviceaccount:<namespace>:<name>`, with the same placeholders.",
        },
    ),
    "HealthCheck": (
        "archetype.yaml, health",
        {
            "path": "Path below the DNS name that answers `status`, `application`, `version`. Empty: has no address.",
            "when": "Parameters that must have exactly these values for the App Store to ask.",
            "otherwise": "Where they have others: what counts instead, in the words of the step.",
        },
    ),
    "Step": (
        "archetype.yaml, entries of steps",
        {"id": "Short id.", "title": "A word or two.", "description": "What has happened when it is done."},
    ),
    "BoardTemplate": (
        "board.yaml",
        {
            "columns": "Columns of the board, from left to right. The last one means done.",
            "items": "Work items that the board starts with.",
        },
    ),
    "WorkItem": (
        "board.yaml, entries of items",
        {
            "id": "Short id, unique in the file. The item is known by it, whatever people make of its text.",
            "title": "Title of the item.",
            "body": "What to do, until when. `{application}`, `{repository}` (its page), `{hostname}`.",
            "column": "The column it starts in.",
            "when": "Parameters that must have exactly these values for the item to be made.",
        },
    ),
    "Link": (
        "archetype.yaml, entries of links",
        {
            "title": "Name of the link.",
            "url": "With `{application}`, `{repository}`; in scope `environment` also `{environment}`, `{hostname}`.",
            "scope": "`application`, or `environment` (shown for the first environment of the request).",
            "when": "Parameters that must have exactly these values for the link to be shown.",
        },
    ),
    "PlannedObject": (
        "stack.yaml, entries of objects",
        {
            "id": "Short id, unique in the file.",
            "system": "Who keeps the object: `azure`, `github` or `kubernetes`.",
            "owner": "Who makes it: `terraform`, `app-store` or `pipeline`.",
            "type": "The vendor's name of the kind of object.",
            "name": "Address in Terraform's state, or natural key; `{application}`, `{environment}`, `{repository}`.",
            "scope": "`application` (once), `environment` (in each), `first-environment`, or `later-environments`.",
            "when": "Parameters that must have exactly these values. A parameter that is not there fits no value.",
            "prices": "Per environment: item of `rules/prices.json` and how many of its unit.",
        },
    ),
}
