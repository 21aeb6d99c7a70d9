"""What is restored to a place apart: one port, and a module for each kind of data resource."""

from activities._restores.databases import Databases
from activities._restores.place import DRILL, OWNER, asked, group_apart, stages_of, surrounded, text_of
from activities._restores.port import Found, Restorable, Wish
from activities._restores.storage import Storage
from activities._restores.vaults import Vaults
from shared.models.backups import DataKind

RESTORABLES: dict[DataKind, Restorable] = {
    DataKind.DATABASE: Databases(),
    DataKind.STORAGE: Storage(),
    DataKind.VAULT: Vaults(),
}

__all__ = [
    "DRILL",
    "OWNER",
    "RESTORABLES",
    "Found",
    "Restorable",
    "Wish",
    "asked",
    "group_apart",
    "stages_of",
    "surrounded",
    "text_of",
]
