"""The kernel of the stand-ins: see README.md one folder up."""

from .certificates import CertificateAuthority
from .kernel import Kernel
from .listener import PortTakenError
from .observe import MUTATING
from .signing import SigningKey
from .store import Store
from .vendor import Vendor

__all__ = ["MUTATING", "CertificateAuthority", "Kernel", "PortTakenError", "SigningKey", "Store", "Vendor"]
