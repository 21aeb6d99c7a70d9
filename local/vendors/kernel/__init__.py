"""The kernel of the stand-ins: see README.md one folder up."""

from .certificates import CertificateAuthority
from .kernel import Kernel
from .observe import MUTATING
from .store import Store
from .vendor import Vendor

__all__ = ["MUTATING", "CertificateAuthority", "Kernel", "Store", "Vendor"]
