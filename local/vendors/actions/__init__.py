"""The Actions stand-in: executes workflows, signs the tokens of their jobs, serves their logs."""

import contextlib
import io
import secrets
import time
import zipfile
from typing import Any

from aiohttp import web

from local.vendors.actions.engine import Engine
from local.vendors.actions.runner import Job, StepError
from local.vendors.kernel import Kernel, Vendor
from local.vendors.kernel.signing import SigningKey

ISSUER = "https://token.actions.githubusercontent.com"
LOGS = "https://results-receiver.actions.githubusercontent.com"
CLAIMS = """repository repository_id repository_owner repository_owner_id run_id run_number run_attempt actor workflow
workflow_ref workflow_sha head_ref base_ref event_name ref ref_type sha"""


class Actions(Engine):
    """What the GitHub stand-in asks (dispatch, event, run, runs, jobs, cancel), and the issuer of job tokens."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self._key = SigningKey(self.store)
        self.oidc_keys = self._key.key_set

    def log_url(self, run: int, job: int | None = None) -> str:
        return f"{LOGS}/logs/{run}/{job}" if job else f"{LOGS}/logs/{run}"

    def id_token(self, job: Job, audience: str) -> str:
        """The job's OpenID Connect token. https://docs.github.com/actions/concepts/security/openid-connect."""
        if not job.may_sign:
            raise StepError("Unable to get ACTIONS_ID_TOKEN_REQUEST_URL env variable: the job needs id-token: write")
        github, environment = job.contexts["github"], job.document["environment"]
        place = f"environment:{environment}" if environment else f"ref:{github['ref']}"
        place = place if environment or github["event_name"] != "pull_request" else "pull_request"
        claims = {name: github[name] for name in CLAIMS.split()} | ({"environment": environment} if environment else {})
        times = {"iat": int(time.time()), "nbf": int(time.time()) - 300, "exp": int(time.time()) + 300}
        same = {"iss": ISSUER, "aud": audience, "jti": secrets.token_hex(16), "runner_environment": "github-hosted"}
        same |= {"job_workflow_ref": github["workflow_ref"], "repository_visibility": job.run["visibility"]}
        return self._key.sign(claims | times | same | {"sub": f"{job.repository.subject_prefix}:{place}"})

    async def serve_id_token(self, request: web.Request) -> web.StreamResponse:
        job = self.live_job(int(request.match_info["job"]))
        if job is None or request.headers.get("Authorization", "").partition(" ")[2] != job.id_token:
            return web.json_response({"message": "Unauthorized"}, status=401)
        audience = request.query.get("audience", f"https://github.com/{job.run['repository'].split('/')[0]}")
        return web.json_response({"count": 1, "value": self.id_token(job, audience)})

    async def configuration(self, _: web.Request) -> web.StreamResponse:
        supported: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/.well-known/jwks"}
        supported |= {"id_token_signing_alg_values_supported": ["RS256"], "response_types_supported": ["id_token"]}
        return web.json_response(supported | {"subject_types_supported": ["public", "pairwise"]})

    async def jwks(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self.oidc_keys())

    async def run_log(self, request: web.Request) -> web.StreamResponse:
        """All logs of a run, in a zip file with one text per job."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, job in enumerate(self.jobs(int(request.match_info["run"]))):
                with contextlib.suppress(FileNotFoundError):  # a skipped job has no log
                    archive.write(job["log"], f"{number}_{job['name'].replace('/', '_')}.txt")
        return web.Response(body=content.getvalue(), content_type="application/zip")

    async def job_log(self, request: web.Request) -> web.StreamResponse:
        file = self.folder / "logs" / "{run}-{job}.log".format_map(request.match_info)
        return web.Response(text=file.read_text(encoding="utf-8") if file.exists() else "")


def build(kernel: Kernel) -> Vendor:
    actions = Actions(kernel)
    routes = [
        web.get("/.well-known/openid-configuration", actions.configuration),
        web.get("/.well-known/jwks", actions.jwks),
        web.get("/idtoken/{job:[0-9]+}", actions.serve_id_token),
        web.get("/logs/{run:[0-9]+}", actions.run_log),
        web.get("/logs/{run:[0-9]+}/{job:[0-9]+}", actions.job_log),
    ]
    return Vendor("actions", ("*.actions.githubusercontent.com",), routes, actions, actions.start, drain=actions.drain)
