"""What mutations change. Each has one argument, its input.

https://docs.github.com/graphql/reference/mutations
"""

from collections.abc import Callable
from typing import Any

from .projects import Json, new_id, now, option, pick, refused, titled
from .queries import ORGANISATION_NODE, Queries


class Mutations(Queries):
    """The queries, and what only mutations do."""

    def root(self) -> dict[str, Any]:
        """Root of every document."""
        changes = {
            "updateProjectV2": self._update,
            "linkProjectV2ToRepository": self._link,
            "addProjectV2DraftIssue": self._add,
            "updateProjectV2ItemFieldValue": self._set_value,
            "deleteProjectV2Item": self._remove,
        }
        whole = {
            "createProjectV2": self._create,
            "deleteProjectV2": self._delete,
            "updateProjectV2Field": self._set_options,
        }
        return super().root() | whole | {name: self._changing(change) for name, change in changes.items()}

    def _changing(self, change: Callable[[Json, Json], Json]) -> Callable[..., Json]:
        """A mutation of the project that its input names."""

        def run(_: object, **given: Json) -> Json:
            project = pick(self.projects.all(), given["input"].pop("projectId"))
            payload = change(project, given["input"])
            self.projects.save(project)
            return payload

        return run

    def _create(self, _: object, **given: Json) -> Json:
        wanted = given["input"]
        pick([{"id": ORGANISATION_NODE}], wanted["ownerId"])
        linked = wanted.get("repositoryId")
        known = [pick(self.projects.repositories(), linked, "node_id")["node_id"]] if linked else []
        return {"projectV2": self.project(self.projects.create(wanted["title"], known))}

    def _delete(self, _: object, **given: Json) -> Json:
        project = pick(self.projects.all(), given["input"]["projectId"])
        self.projects.delete(project)
        return {"projectV2": self.project(project)}

    def _set_options(self, _: object, **given: Json) -> Json:
        """The given options replace all; they are new ones, so that items lose theirs."""
        wanted = given["input"]
        projects = {project["status"]["id"]: project for project in self.projects.all()}
        project = projects[pick([{"id": field} for field in projects], wanted["fieldId"])["id"]]
        if options := wanted.get("singleSelectOptions"):
            project["status"]["options"] = [option(**one) for one in options]
            self.projects.save(project)
        return {"projectV2Field": self.status(project)}

    def _update(self, project: Json, wanted: Json) -> Json:
        project |= wanted
        titled(project["title"])
        return {"projectV2": self.project(project)}

    def _link(self, project: Json, wanted: Json) -> Json:
        found = pick(self.projects.repositories(), wanted["repositoryId"], "node_id")
        project["repositories"] = sorted({*project["repositories"], found["node_id"]})
        return {"repository": self.repository(found)}

    def _add(self, project: Json, wanted: Json) -> Json:
        draft = {"__typename": "DraftIssue", "id": new_id("DI"), "title": titled(wanted["title"])}
        item = {"id": new_id("PVTI"), "createdAt": now(), "updatedAt": now(), "isArchived": False, "option": None}
        item |= {"content": draft | {"body": wanted.get("body", "")}}
        project["items"].append(item)
        return {"projectItem": self.item(project, item)}

    def _set_value(self, project: Json, wanted: Json) -> Json:
        item, chosen = pick(project["items"], wanted["itemId"]), wanted["value"].get("singleSelectOptionId")
        pick([project["status"]], wanted["fieldId"])
        if chosen not in {one["id"] for one in project["status"]["options"]}:
            raise refused("VALIDATION", "The single select option Id does not belong to the field")
        item |= {"option": chosen, "updatedAt": now()}
        return {"projectV2Item": self.item(project, item)}

    def _remove(self, project: Json, wanted: Json) -> Json:
        project["items"].remove(pick(project["items"], wanted["itemId"]))
        return {"deletedItemId": wanted["itemId"]}
