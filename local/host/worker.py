"""The worker process: Microsoft's azure-functions-runtime runs the app, frames go in and out over a socket.

Started by `local.host.invoker`; the arguments are the socket's file descriptor, the app's folder and the log level.
"""

import asyncio
import json
import logging
import os
import socket
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import azure_functions_runtime as runtime

from local.host import frames
from local.host.worker_types import PROTOS, Message, ParameterBinding, from_typed, to_typed


class LoadError(Exception):
    """The worker library could not index function_app.py."""


class Worker:
    """Answers invocation frames; every function runs on one event loop or the library's thread pool."""

    def __init__(self, channel: socket.socket, root: Path) -> None:
        self._channel = channel
        self._root = root
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, message: object) -> None:
        self._channel.sendall(frames.pack(message))

    async def load(self) -> list[dict[str, Any]]:
        """Import function_app.py and return its functions; raises LoadError with the reason."""
        init = Message(capabilities={}, function_app_directory=str(self._root))
        request = Message(properties={"host": "127.0.0.1", "protos": PROTOS}, request=Message(worker_init_request=init))
        answer = await runtime.worker_init_request(request)
        if answer.result.status != PROTOS.StatusResult.Success:
            error = answer.result.exception
            raise LoadError(error.message, error.stack_trace)
        metadata = await runtime.functions_metadata_request(request)
        runtime.start_threadpool_executor()
        return [
            {
                "name": function.name,
                "id": function.function_id,
                "bindings": [json.loads(binding) for binding in function.raw_bindings],
                "retry": function.retry_options is not None,
            }
            for function in metadata.function_metadata_results or []
        ]

    def accept(self, frame: dict[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._invoke(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _invoke(self, frame: dict[str, Any]) -> None:
        invocation = Message(
            invocation_id=frame["invocation"],
            function_id=frame["function"],
            input_data=[ParameterBinding(name, to_typed(value)) for name, value in frame["inputs"]],
            trigger_metadata={name: to_typed(value) for name, value in frame["metadata"].items()},
            trace_context=Message(trace_parent=frame["trace"], trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await runtime.invocation_request(Message(request=Message(invocation_request=invocation)))
        result: dict[str, Any] = {"id": frame["id"]}
        if answer.result.status == PROTOS.StatusResult.Success:
            result["return"] = from_typed(answer.return_value)
            result["outputs"] = {output.name: from_typed(output.data) for output in answer.output_data}
        else:
            result["error"] = [answer.result.exception.message, answer.result.exception.stack_trace]
        self.send(result)


async def _serve(descriptor: int, root: Path) -> None:
    channel = socket.socket(fileno=descriptor)
    worker = Worker(channel, root)
    try:
        functions = await worker.load()
    except LoadError as error:
        worker.send({"error": list(error.args)})
        return
    worker.send({"functions": functions})
    loop = asyncio.get_running_loop()

    def listen() -> None:
        # A thread of its own: the worker must die with its host even while user code blocks the event loop.
        stream = channel.makefile("rb")
        try:
            while True:
                loop.call_soon_threadsafe(worker.accept, frames.read_blocking(stream))
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=listen, name="frames", daemon=True).start()
    await asyncio.Event().wait()


def main() -> None:
    descriptor, root, level = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    for library in ("azure.functions", "azure_functions_runtime", "azure.core", "azure.identity", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # azure-functions-durable 1.7 warns on every legal replay that holds an early event.
    warnings.filterwarnings("ignore", message="Potential duplicate Task completion")
    sys.path[0] = str(root)
    os.chdir(root)
    asyncio.run(_serve(descriptor, root))
