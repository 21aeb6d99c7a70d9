"""`make size`: how large the product, the local run and the tests are, in lines of Python code.

A line of code holds something that runs: blank lines, comments and docstrings are free, so that nobody saves on them.
"""

import ast
import io
import subprocess
import tokenize
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PRODUCT = ("activities", "orchestrators", "shared", "triggers", "infra", "function_app.py")
_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def python_files() -> list[Path]:
    """Return the project's own Python files: tracked or new, skeletons of generated repositories excluded."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [CHECKOUT / name for name in names if "skeleton" not in Path(name).parts and (CHECKOUT / name).exists()]


def lines_of_code(path: Path) -> int:
    """Count the lines of one file that hold code."""
    text = path.read_text(encoding="utf-8")
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstring_lines(ast.parse(text)))


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            lines.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


def part_of(path: Path) -> str:
    """Name the part a file belongs to: product, tests, or one part of local/."""
    steps = path.relative_to(CHECKOUT).parts
    if steps[0] in PRODUCT:
        return "product"
    if steps[0] != "local":
        return steps[0]
    return "/".join(steps[:3]) if steps[1] == "vendors" and len(steps) > 3 else "/".join(steps[:2])


def sizes() -> Counter[str]:
    """Return the lines of code of every part."""
    counted: Counter[str] = Counter()
    for path in python_files():
        counted[part_of(path)] += lines_of_code(path)
    return counted


def total(counted: Counter[str], prefix: str) -> int:
    """Return the lines of all parts under a prefix."""
    return sum(lines for part, lines in counted.items() if part == prefix or part.startswith(f"{prefix}/"))


def main() -> None:
    """Print the table."""
    counted = sizes()
    for name in ("product", "local", "tests"):
        print(f"{name:<28}{total(counted, name):>7}")
    print()
    for part, lines in sorted(counted.items()):
        if lines:
            print(f"{part:<28}{lines:>7}")


if __name__ == "__main__":
    main()
