"""The running provider: its gRPC server and how Terraform finds it."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # children are started by exec, never by a bare fork

import grpc
from tf.gen import grpc_controller_pb2 as controller_pb
from tf.gen import grpc_controller_pb2_grpc as controller_rpc
from tf.gen import grpc_stdio_pb2_grpc as stdio_rpc
from tf.gen import tfplugin_pb2_grpc as rpc

from local.vendors.kernel import Kernel

from .client import ArmClient
from .provider import Provider
from .schema import EDITION, write

SOURCE = "registry.terraform.io/hashicorp/azurerm"
CHECKOUT = Path(__file__).resolve().parents[3]


def schema_file() -> Path:
    """Where the extracted schema is cached: APPSTORE_AZURERM_SCHEMA, else below .local/cache of the checkout."""
    named = os.environ.get("APPSTORE_AZURERM_SCHEMA")
    return Path(named) if named else CHECKOUT / ".local" / "cache" / f"azurerm-{EDITION}.json"


@cache
def load_schema() -> dict[str, Any]:
    """Read the schema; made on first use when set-up did not."""
    write(schema_file())
    found: dict[str, Any] = json.loads(schema_file().read_text())
    return found


class AzurermProvider:
    """The running service."""

    def __init__(self, kernel: Kernel) -> None:
        self._client = ArmClient(lambda: kernel.proxy_url, kernel.ca_bundle)
        self._server: grpc.Server | None = None
        self._port = 0

    async def start(self) -> None:
        server = grpc.server(ThreadPoolExecutor(max_workers=32, thread_name_prefix="azurerm"))
        rpc.add_ProviderServicer_to_server(Provider(self._client, load_schema), server)
        controller_rpc.add_GRPCControllerServicer_to_server(_Controller(), server)
        stdio_rpc.add_GRPCStdioServicer_to_server(_Stdio(), server)
        self._port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._server = server
        threading.Thread(target=load_schema, daemon=True, name="azurerm-schema").start()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.stop(grace=1).wait(2)
        self._client.close()

    def environment(self) -> dict[str, str]:
        """Variables with which Terraform finds this provider instead of downloading one."""
        address = {"Network": "tcp", "String": f"127.0.0.1:{self._port}"}
        reattach = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": address}
        return {"TF_REATTACH_PROVIDERS": json.dumps({SOURCE: reattach})}


class _Controller(controller_rpc.GRPCControllerServicer):  # type: ignore[misc]
    def Shutdown(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """A run that ends does not end the service."""
        return controller_pb.Empty()


class _Stdio(stdio_rpc.GRPCStdioServicer):  # type: ignore[misc]
    def StreamStdio(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        return iter(())
