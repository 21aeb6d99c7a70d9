#!/bin/sh
# Resolves the direct dependencies (*.in) into hash-pinned locks for Linux and macOS. `make lock UPGRADE=1` takes newer releases.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
upgrade=${UPGRADE:+--upgrade}

compile() {
    # shellcheck disable=SC2086  # an empty $upgrade must vanish
    "$uv" pip compile --quiet --system-certs --universal --python-version 3.13 --generate-hashes --custom-compile-command "make lock" $upgrade "$@"
}

compile requirements.in --output-file requirements.txt
compile local/requirements.in --constraints requirements.txt --output-file local/requirements.txt
compile requirements-dev.in --constraints local/requirements.txt --output-file requirements-dev.txt
for name in tools checkov; do
    compile "tests/archetypes/$name.in" --output-file "tests/archetypes/$name.txt"
done
compile tests/custodian/custodian.in --output-file tests/custodian/custodian.txt
"$uv" --version | sed -n 's/^uv \([0-9.]*\).*/uv==\1/p' | "$uv" pip compile --quiet --system-certs --universal --generate-hashes --custom-compile-command "make lock" - --output-file local/bootstrap.txt
