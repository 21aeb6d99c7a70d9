"""`make bench-cold-start`: importing function_app against the smallest Durable app with pydantic and httpx.

Both are imported in fresh interpreters, in turns, with compiled bytecode. Compared is the CPU time: on a machine with
other work it is steadier than the wall clock.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOAL = 1.5
HEAVY = (
    "openai",
    "azure.identity",
    "azure.mgmt",
    "azure.storage.blob",
    "azure.data.tables",
    "azure.keyvault.secrets",
    "azure.monitor",
    "opentelemetry.sdk",
    "opentelemetry.exporter",
)
APPS = {"bare": ("tests/bench", "bare_app"), "function_app": (".", "function_app")}
PROGRAM = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
begun = time.perf_counter()
__import__(sys.argv[2])
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "cpu": usage.ru_utime + usage.ru_stime, "wall": time.perf_counter() - begun,
    "memory": usage.ru_maxrss / 1024, "modules": sorted(sys.modules),
}))
"""


def measure(name: str) -> dict[str, object]:
    folder, module = APPS[name]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, module], cwd=ROOT, capture_output=True, text=True, check=True
    )
    document: dict[str, object] = json.loads(done.stdout)
    return document


def main() -> int:
    """Print both and their ratio; 1 when a heavy SDK was loaded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    runs: dict[str, list[dict[str, object]]] = {name: [] for name in APPS}
    for _ in range(rounds + 1):  # the first round compiles
        for name, results in runs.items():
            results.append(measure(name))
    figures = {name: _medians(results[1:]) for name, results in runs.items()}
    sys.stdout.write(f"{'':14}{'CPU s':>8}{'wall s':>8}{'MB':>8}{'modules':>9}\n")
    for name, (cpu, wall, memory, modules) in figures.items():
        sys.stdout.write(f"{name:14}{cpu:8.3f}{wall:8.3f}{memory:8.1f}{modules:9.0f}\n")
    ratio = figures["function_app"][0] / figures["bare"][0]
    loaded = {str(module) for module in runs["function_app"][0]["modules"]}  # type: ignore[attr-defined]
    heavy = [name for name in HEAVY if name in loaded]
    sys.stdout.write(f"ratio {ratio:.2f}, goal {GOAL}; heavy SDKs loaded: {', '.join(heavy) or 'none'}\n")
    return 1 if heavy else 0


def _medians(results: list[dict[str, object]]) -> tuple[float, float, float, float]:
    columns = [[float(result[name]) for result in results] for name in ("cpu", "wall", "memory")]  # type: ignore[arg-type]
    cpu, wall, memory = (statistics.median(column) for column in columns)
    return cpu, wall, memory, statistics.median(len(result["modules"]) for result in results)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
