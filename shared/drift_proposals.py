"""What a proposal to put an environment right says: the file that it changes, and the text beside it. Pure.

The values come from Azure, and whoever changed something there chose them: nothing of them may become markup, a mention
or a comment that the App Store would believe.
"""

import json
import re
from collections.abc import Sequence

from shared.canonical import digest
from shared.models.drift import Difference

LABEL = "drift"
_CHOICE = (
    "**Merge** this to have it put right: the App Store then makes a plan, and somebody else than who merged approves",
    "exactly that plan before anything is applied. If other findings are there by then, nothing is applied.",
    "",
    "**Close** it for: not now. It is not proposed again as long as the findings stay these.",
    "",
    "If what is there is right, change the code by a request. This closes by itself when the findings are gone.",
)
_MOST = 50_000  # characters of the table: GitHub takes 65,536 for the whole text
_LONGEST = 300
# What ends a cell whatever stands before it; controls, invisible and direction-changing characters.
_UNSEEN = re.compile(r"[^\x20-\x7b\x7d\x7e\u00a1-\u02ff\u0370-\u1fff]")


def branch(environment: str) -> str:
    """Branch of the environment's pull request."""
    return f"drift/{environment}"


def path(environment: str) -> str:
    """The file that the pull request changes."""
    return f".appstore/drift/{environment}.json"


def shown(differences: Sequence[Difference]) -> list[tuple[str, str, str, str]]:
    """What makes findings the same ones: which attribute of what, what it should be, and what it is."""
    return sorted((item.address, item.attribute, item.expected, item.actual) for item in differences)


def digest_of(differences: Sequence[Difference]) -> str:
    """Digest of a set of findings, in whatever order they come."""
    return digest([list(item) for item in shown(differences)])


def record(environment: str, number: int, differences: Sequence[Difference]) -> str:
    """The file: whoever merges it agrees to exactly this. ASCII only: nothing looks like something else."""
    findings = [
        {
            "address": item.address,
            "attribute": item.attribute,
            "severity": item.severity,
            "is": item.actual,
            "shall": item.expected,
        }
        for item in sorted(differences, key=lambda item: (item.address, item.attribute))
    ]
    document = {"environment": environment, "proposal": number, "findings": findings}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def title(environment: str, differences: Sequence[Difference]) -> str:
    """Title of the pull request."""
    count = len(differences)
    return f"Put {environment} right: {count} finding{'' if count == 1 else 's'} of drift"


def body(environment: str, differences: Sequence[Difference]) -> str:
    """Text of the pull request."""
    worst_first = sorted(differences, key=lambda item: (item.severity, item.address, item.attribute))
    rows, size = [], 0
    for item in worst_first:
        row = _row(item)
        size += len(row)
        if size > _MOST:
            break
        rows.append(row)
    more = [f"\n{len(worst_first) - len(rows)} more are in the file."] if len(worst_first) > len(rows) else []
    lines = [
        f"`{environment}` is not as its code says:",
        "",
        "| severity | object | attribute | is | shall be |",
        "| --- | --- | --- | --- | --- |",
        *rows,
        *more,
        "",
        *_CHOICE,
    ]
    return "\n".join(lines)


def _row(item: Difference) -> str:
    cells = (item.address, item.attribute or "the whole object", item.actual, item.expected)
    return f"| {item.severity} | {' | '.join(map(code, cells))} |"


def code(text: str) -> str:
    """A text as code in a table's cell, whatever is in it."""
    plain = _UNSEEN.sub(_escaped, text).replace("<!--", "<\\u0021--")  # the App Store's own marks are comments
    plain = plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 3]}..."
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {plain} {fence}" if longest else f"{fence}{plain}{fence}"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
