"""Liveness and readiness.

The probes of the chart ask `/health`, which depends on nothing: a database that is away must not make Kubernetes
restart, or take out of service, every replica at once. `/health/ready` tells people and monitors about dependencies.
"""

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from app.items import StoreUnavailableError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: str
    application: str
    version: str
    digest: str


class Readiness(Health):
    """The process and what it depends on."""

    dependencies: dict[str, str]


@router.get("/health")
def health(request: Request) -> Health:
    """Tell that the process is alive."""
    settings = request.app.state.settings
    return Health(status="healthy", application=settings.application, version=settings.version, digest=settings.digest)


@router.get("/health/ready", responses={503: {"model": Readiness}})
def ready(request: Request, response: Response) -> Readiness:
    """Tell whether every dependency can be used; 503 when one cannot."""
    settings = request.app.state.settings
    state = "available"
    try:
        request.app.state.items.check()
    except StoreUnavailableError as error:
        state = f"unavailable: {error}"
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Readiness(
        status="ready" if state == "available" else "degraded",
        application=settings.application,
        version=settings.version,
        digest=settings.digest,
        dependencies={"items": state},
    )
