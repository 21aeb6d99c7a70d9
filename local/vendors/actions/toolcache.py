"""Python environments that jobs with the same requirements use one after the other: packages and byte code stay."""

import fcntl
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

Closing = list[Callable[[bool], None]]


def take(cache: Path, key: str, closing: Closing) -> Path:
    """A folder for one job alone, kept between jobs; one whose job was interrupted is made afresh.

    `closing` gets the call that gives it back, told whether the job came to its end.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        folder, used = cache / f"{key}-{number}", cache / f"{key}-{number}.used"
        lock = (cache / f"{key}-{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if used.exists():
            shutil.rmtree(folder, ignore_errors=True)
        used.touch()

        def give_back(ended: bool) -> None:  # the loop ends here
            if ended:
                used.unlink(missing_ok=True)  # noqa: B023
            lock.close()  # noqa: B023

        closing.append(give_back)
        return folder
    raise AssertionError("counting never ends")
