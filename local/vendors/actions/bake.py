"""Render a chart with Helm itself: a program of its own, so that the Go library never lives beside the stand-ins.

`bake.py CHART OUT NAME NAMESPACE [--file VALUES]... [--set NAME=VALUE]...`
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import helm_python
import yaml


def main() -> int:
    """Write the rendered manifests; 1 with Helm's words when the chart does not render."""
    parser = argparse.ArgumentParser()
    for name in ("chart", "out", "name", "namespace"):
        parser.add_argument(name)
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    try:
        values: dict[str, Any] = {}
        for file in options.file:
            values = merge(values, yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {})
        for assignment in options.set:
            values = merge(values, helm_python.parse_set_string(assignment.replace(",", "\\,")))
        with helm_python.Chart.load(options.chart) as chart:
            rendered = chart.render(values, name=options.name, namespace=options.namespace)
    except (helm_python.HelmError, OSError, yaml.YAMLError) as error:
        sys.stdout.write(f"helm template failed: {error}\n")
        return 1
    manifests = [text for file, text in rendered.items() if file.endswith((".yaml", ".yml")) and text.strip()]
    Path(options.out).write_text("\n---\n".join(manifests), encoding="utf-8")
    return 0


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


if __name__ == "__main__":
    sys.exit(main())
