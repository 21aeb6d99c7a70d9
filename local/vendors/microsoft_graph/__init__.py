"""Microsoft Graph: the directory of the tenant that the stand-in for Entra ID signs people in from."""

from local.vendors.kernel import Kernel, Vendor

from .api import Graph


def build(kernel: Kernel) -> Vendor:
    """The directory, read with a token of Entra ID."""
    graph = Graph(kernel)
    return Vendor(name="microsoft_graph", hosts=("graph.microsoft.com",), routes=graph.routes())
