"""The files that decide: Rego, its data, exceptions, approvals, landing zones, and one revision for all of them.

Every question looks at the files as they are now, so a changed rule counts at once in a running process. Only files
whose size or times changed are read again.
"""

import gzip
import io
import json
import sys
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shared import exceptions, rule_catalogue
from shared.canonical import canonical_json, digest, sha256_hex
from shared.errors import ConfigurationError
from shared.exceptions import PolicyException

RULES = Path(__file__).resolve().parents[1] / "rules"

_DATA = ("rego/config.json", rule_catalogue.FILE, exceptions.FILE)
_PATTERNS = ("rego/**/*.rego", *_DATA, "approvals/*.yaml", "landing_zones.yaml", "teams.yaml")
_ROOTS = ("appstore", "config", "exceptions", "rules")
_READS = 5

Stamp = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class RuleSet:
    """All rules at one moment.

    Attributes:
        revision: SHA-256 over the names and contents of all files that decide.
        policies: Rego modules by path, without their tests.
        data: text of the document below ``data``: configuration, catalogue of rules, exceptions.
        exceptions: the exceptions, checked.
    """

    revision: str
    policies: tuple[tuple[str, str], ...]
    data: str
    exceptions: tuple[PolicyException, ...]


def stamp(path: Path) -> Stamp:
    """What changes about a file when it is written.

    Raises:
        ConfigurationError: there is no such file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigurationError(str(path), "the file cannot be read") from error
    return (str(path), status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def load_rules(directory: Path = RULES) -> RuleSet:
    """Read the rules as they are now.

    Raises:
        ConfigurationError: no rules are there, a file is not what it should be (names the field), or they change
            faster than they can be read.
    """
    for _ in range(_READS):
        before = _stamps(directory)
        rules = _read(directory, before)
        if _stamps(directory) == before:
            return rules
    raise ConfigurationError(str(directory), "the rules are being changed at this moment")


def rules_revision(directory: Path = RULES) -> str:
    """SHA-256 over everything that decides; prices have a revision of their own.

    Raises:
        ConfigurationError: as `load_rules`.
    """
    return load_rules(directory).revision


def bundle(directory: Path = RULES) -> bytes:
    """Pack the rules for an OPA server (bundle format: https://www.openpolicyagent.org/docs/management-bundles).

    The manifest carries our revision, so that the server can prove by which rules it decided. Equal rules give equal
    bytes.
    """
    rules = load_rules(directory)
    manifest = canonical_json({"revision": rules.revision, "roots": list(_ROOTS), "rego_version": 1})
    members = [(".manifest", manifest), ("data.json", rules.data.encode())]
    members += [(path, text.encode()) for path, text in rules.policies]
    archive = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=archive, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def _stamps(directory: Path) -> tuple[Stamp, ...]:
    paths = {path for pattern in _PATTERNS for path in directory.glob(pattern)}
    return tuple(stamp(path) for path in sorted(paths) if not path.name.endswith("_test.rego"))


@lru_cache(maxsize=8)
def _read(directory: Path, stamps: tuple[Stamp, ...]) -> RuleSet:
    """Read the files; the stamps are the key of the cache."""
    contents = {Path(entry[0]).relative_to(directory).as_posix(): Path(entry[0]).read_bytes() for entry in stamps}
    try:
        policies = tuple((name, text.decode()) for name, text in contents.items() if name.endswith(".rego"))
        config, catalogue, allowed = (contents[name].decode() for name in _DATA)
        settings = json.loads(config)["config"]
    except (KeyError, TypeError) as error:
        raise ConfigurationError(str(directory), f"there are no complete rules: {error} is missing") from error
    except ValueError as error:
        raise ConfigurationError(str(directory), "the rules are not UTF-8, or config.json is not JSON") from error
    if not policies:
        raise ConfigurationError(str(directory), "there are no rules")
    rules = rule_catalogue.parse(catalogue)
    excepted = exceptions.parse(allowed, rules, settings)
    data = {
        "config": settings,
        "rules": rule_catalogue.documents(rules),
        "exceptions": [item.document() for item in excepted],
    }
    revision = digest({name: sha256_hex(text) for name, text in contents.items()})
    return RuleSet(revision, policies, canonical_json(data).decode(), excepted)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(bundle())
    sys.stdout.write(f"{rules_revision()}  {target}\n")
