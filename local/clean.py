"""`make clean`: forget the state of local runs; the caches of downloads and schemas stay."""

import shutil
import sys

from local.processes import LocalRunError
from local.stack import Stack, local_directory

KEPT = ("cache", "python")


def main() -> int:
    """Remove the state unless a run uses it."""
    directory = local_directory()
    if not directory.exists():
        return 0
    stack = Stack(directory)
    try:
        stack.claim()
    except LocalRunError as error:
        print(error, file=sys.stderr)
        return 1
    for entry in directory.iterdir():
        if entry.name not in KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    stack.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
