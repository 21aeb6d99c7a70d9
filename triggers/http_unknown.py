"""The catch-all: a path or method that does not exist is answered in words, not with an empty 404."""

import azure.functions as func

from shared.errors import RequestRejectedError
from triggers._http import ENDPOINTS, name_and_route, problem_answer, respond


def _matches(template: str, path: str) -> bool:
    parts, wanted = path.strip("/").split("/"), template.split("/")
    return len(parts) == len(wanted) and all(
        want.startswith("{") or want.lower() == part.lower() for part, want in zip(parts, wanted, strict=True)
    )


async def unknown_route(req: func.HttpRequest, client) -> func.HttpResponse:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Answer 405 with the allowed methods, or 404."""
    path = req.route_params.get("path", "")
    fitting = [item for item in ENDPOINTS if _matches(item.path, path)]
    literal = [item for item in fitting if "{" not in item.path]  # `requests/preview` is no request's id
    methods = sorted({item.method for item in literal or fitting})
    if methods:
        error = RequestRejectedError("method-not-allowed", f"/api/{path} takes {', '.join(methods)}.", status=405)
        answer = problem_answer(error, f"/api/{path}")
        return respond(
            type(answer)(405, answer.document, {"Allow": ", ".join(methods)}, content_type=answer.content_type)
        )
    detail = f"There is no /api/{path}; GET /api/openapi.json lists what there is."
    return respond(problem_answer(RequestRejectedError("unknown-route", detail, status=404), f"/api/{path}"))


name_and_route(unknown_route, "unknown_route", "{*path}", None)
