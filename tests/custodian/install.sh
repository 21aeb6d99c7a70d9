#!/bin/sh
# Cloud Custodian in an environment of its own, made anew when the lock changes.
set -eu
cd "$(dirname "$0")/../.."
lock=tests/custodian/custodian.txt folder=.local/cache/custodian
cmp -s "$lock" "$folder/installed.txt" && exit 0
rm -rf "$folder"
.venv/bin/uv venv --quiet --python .venv/bin/python "$folder"
.venv/bin/uv pip install --quiet --system-certs --require-hashes --python "$folder/bin/python" -r "$lock"
cp "$lock" "$folder/installed.txt"
