"""Terraform's azurerm provider for the local run: azurerm's own schema over the ARM stand-in."""

from local.vendors.kernel import Kernel, Vendor


def build(kernel: Kernel) -> Vendor:
    """The provider has no host of its own: Terraform reattaches to it (`environment()` of the public interface)."""
    from .service import AzurermProvider  # noqa: PLC0415 - schema.py runs at set-up without the gRPC service

    provider = AzurermProvider(kernel)
    return Vendor("azurerm", (), [], public=provider, start=provider.start, stop=provider.stop)
