"""One container of a Deployment as a process on this machine."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from local.ports import free_port
from local.vendors.kernel import Kernel
from local.vendors.registry import REQUIREMENTS_LABEL

GRACE_SECONDS = 5.0
FIRST_BACK_OFF_SECONDS, LAST_BACK_OFF_SECONDS = 1.0, 30.0
PROBE_SECONDS = 0.1


class PodError(Exception):
    """A container cannot run; the text begins with the reason that Kubernetes gives."""


@dataclass
class Image:
    """An image ready to run here: its files, its environment of Python packages, its configuration."""

    root: Path
    environment: Path
    config: dict[str, Any]


async def pull(kernel: Kernel, reference: str) -> Image:
    """Fetch an image by digest and prepare it.

    Raises:
        PodError: ImagePullBackOff without such an image, CreateContainerError when its packages cannot be installed.
    """
    repository, _, digest = reference.partition("@")
    registry = kernel.vendor("registry")
    config = registry.config(repository, digest) if digest else None
    if config is None:
        raise PodError(f'ImagePullBackOff: Failed to pull image "{reference}": manifest unknown or not named by digest')
    root = kernel.data_dir / "kubernetes" / "images" / digest.replace(":", "-")
    await asyncio.to_thread(registry.extract, digest, root)
    files = [root / name.lstrip("/") for name in json.loads(config["Labels"][REQUIREMENTS_LABEL])]
    return Image(root, await _packages(kernel, files), config)


async def _packages(kernel: Kernel, files: list[Path]) -> Path:
    """A virtual environment for these requirements, made once."""
    text = "\n".join([sys.version, *(file.read_text() for file in files)])
    folder = kernel.root / "cache" / "service-environments" / hashlib.sha256(text.encode()).hexdigest()[:16]
    if (folder / "ready").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    python = str(folder / "bin" / "python")
    names = [part for file in files for part in ("-r", str(file))]
    if uv:
        steps = [[uv, "venv", "--quiet", "--python", sys.executable, str(folder)]]
        steps += [[uv, "pip", "install", "--quiet", "--system-certs", "--python", python, *names]] if names else []
    else:
        steps = [[sys.executable, "-m", "venv", str(folder)]]
        steps += [[python, "-m", "pip", "install", "--quiet", *names]] if names else []
    for step in steps:
        await _check(step)
    (folder / "ready").touch()
    return folder


async def _check(command: list[str]) -> None:
    """Run a command with this process' own environment: packages come from where the developer's come from."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode(errors="replace")
    if process.returncode:
        raise PodError(f"CreateContainerError: {' '.join(command[:3])} failed: {output[-1500:]}")


@dataclass
class Pod:
    """A running container; started again with back-off when it ends by itself."""

    name: str
    container: dict[str, Any]
    image: Image
    variables: dict[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    restarts: int = 0
    ready: bool = False
    process: asyncio.subprocess.Process | None = None
    _task: asyncio.Task[None] | None = None

    async def launch(self) -> None:
        """Start the process once."""
        root, config = self.image.root, self.image.config
        path = f"{self.image.environment / 'bin'}:{self.variables.get('PATH', os.defpath)}"
        program, *arguments = self._command()
        found = shutil.which(program, path=path)
        if found is None:
            raise PodError(f'CrashLoopBackOff: exec: "{program}": executable file not found in $PATH')
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(found, *arguments),
                cwd=root / config["WorkingDir"].lstrip("/"),
                env={**self.variables, "PATH": path, "PORT": str(self.port)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    def _command(self) -> list[str]:
        """The container's command with the port and address of this machine in place of the container's own."""
        given = [*self.container.get("command", []), *self.container.get("args", [])]
        ports = {str(port["containerPort"]) for port in self.container.get("ports", [])}
        ports |= {port.partition("/")[0] for port in self.image.config["ExposedPorts"]}
        places = dict.fromkeys(ports, str(self.port)) | {"0.0.0.0": "127.0.0.1"}  # noqa: S104 - replaced, not bound
        return [places.get(part, part) for part in given or self.image.config["Cmd"]]

    async def wait_ready(self, seconds: float) -> None:
        """Wait until the readiness probe succeeds.

        Raises:
            PodError: the process ended or the probe did not succeed in time; the text has the end of the log.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while not await self._probe(session):
                if self.process is None or self.process.returncode is not None:
                    raise PodError(f"CrashLoopBackOff: the container ended. {self.tail()}")
                if asyncio.get_running_loop().time() > deadline:
                    raise PodError(f"Unhealthy: the readiness probe did not succeed in {seconds:.0f} s. {self.tail()}")
                await asyncio.sleep(PROBE_SECONDS)
        self.ready = True

    async def _probe(self, session: aiohttp.ClientSession) -> bool:
        probe = self.container.get("readinessProbe") or self.container.get("startupProbe") or {}
        path = probe.get("httpGet", {}).get("path", "/")
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                return "httpGet" not in probe or 200 <= answer.status < 400
        return False

    async def watch(self, seconds: float) -> None:
        """Keep it running: after every end a new start, each wait twice the last."""
        back_off = FIRST_BACK_OFF_SECONDS
        while self.process is not None:
            await self.process.wait()
            self.ready = False
            await asyncio.sleep(back_off)
            back_off = min(back_off * 2, LAST_BACK_OFF_SECONDS)
            self.restarts += 1
            await self.launch()
            with contextlib.suppress(PodError):
                await self.wait_ready(seconds)

    def supervise(self, kernel: Kernel, seconds: float) -> None:
        self._task = kernel.spawn(self.watch(seconds), f"pod {self.name}")

    async def stop(self) -> None:
        """End the process: SIGTERM to its session, SIGKILL after the grace period."""
        self.ready = False
        if self._task is not None:
            self._task.cancel()
        process, self.process = self.process, None
        if process is None or process.returncode is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_SECONDS)
                return

    def tail(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "The end of its log:\n" + "\n".join(text.splitlines()[-15:])
