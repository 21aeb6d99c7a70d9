#!/bin/sh
# The tools of tests/archetypes/test_tools.py, each lock in an environment of its own, made anew when the lock changes.
set -eu
cd "$(dirname "$0")/../.."
for name in tools checkov; do
    lock=tests/archetypes/$name.txt folder=.local/cache/archetype-tools/$name
    cmp -s "$lock" "$folder/installed.txt" && continue
    rm -rf "$folder"
    .venv/bin/uv venv --quiet --python .venv/bin/python "$folder"
    .venv/bin/uv pip install --quiet --system-certs --require-hashes --python "$folder/bin/python" -r "$lock"
    cp "$lock" "$folder/installed.txt"
done
