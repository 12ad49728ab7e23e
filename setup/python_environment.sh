#!/usr/bin/env bash
# Make a virtual environment that holds what a lock file names, this project itself, and uv, which installs them.
#
#   setup/python_environment.sh DIRECTORY LOCK_FILE
#
# Every download is checked against the hashes of the lock file.
set -euo pipefail

directory=$1
lock=$2
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

fail() {
    echo "setup: $*" >&2
    exit 1
}

find_python() {
    local name
    for name in "${PYTHON:-python3.11}" python3.12 python3.13 python3; do
        if command -v "$name" >/dev/null \
            && "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
            command -v "$name"
            return
        fi
    done
    "$root/setup/debian_packages.sh" python3 python3-venv >&2 || fail "Python 3.11, 3.12 or 3.13 is needed"
    command -v python3
}

make_environment() {
    local python=$1
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        local version
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        "$root/setup/debian_packages.sh" "python$version-venv" >&2 \
            || fail "$python cannot make virtual environments: apt-get install python$version-venv"
    fi
    "$python" -m venv "$directory"
}

if ! "$directory/bin/python" -c '' 2>/dev/null; then
    python=$(find_python)
    echo "setup: $directory with $python"
    rm -rf "$directory"
    make_environment "$python"
fi

# The lock file names everything: nobody need look at what its packages ask for, nor warn of how they spell it.
from_lock=(install --quiet --no-deps --require-hashes --requirement)
project=(install --quiet --no-deps --editable .)

# uv is sooner done than pip. It reads no pip.conf: who has an index of their own there is served by pip.
with_uv() {
    local uv=$directory/bin/uv
    "$uv" --version >/dev/null 2>&1 || with_pip "${from_lock[@]}" <(sed -n '/^uv==/,/[^\\]$/p' requirements-dev.lock) || return
    "$uv" pip "${from_lock[@]}" "$lock" --python "$directory" --compile-bytecode \
        && "$uv" pip "${project[@]}" --python "$directory"
}

with_pip() {
    "$directory/bin/python" -m pip --disable-pip-version-check "$@"
}

echo "setup: $directory gets what $lock names"
with_uv || { with_pip "${from_lock[@]}" "$lock" && with_pip "${project[@]}"; }
