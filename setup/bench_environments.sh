#!/usr/bin/env bash
# Make the environments of the benchmark's peers, each as its lock file names it, and say what is there.
#
#   setup/bench_environments.sh
#
# bench/environments/NAME.lock becomes .venv-bench/NAME, whose `run` is its Python.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=.venv/bin/uv
debian13=/var/cache/neo-alexandria/debian-13

find_python_3_13() {
    local candidate
    for candidate in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13; do
        if "$candidate" -c '' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    setup/debian13.sh >&2 || { echo "setup: celery-redis-plus needs Python 3.13, and there is none" >&2; exit 1; }
    echo "$debian13/usr/bin/python3.13"
}

# PYTHON below Debian 13's root runs with /usr exchanged (chaos/servers/userland.py says how and why).
enter() {
    if [[ $1 == "$debian13"/* ]]; then
        printf '%s\n' "unshare --mount --propagation private -- /bin/sh -c 'mount --bind \"\$0/usr\" /usr && exec \"\$@\"' $debian13"
    fi
}

make_environment() {
    local name=$1 python=$2 directory=.venv-bench/$1 lock=bench/environments/$1.lock
    if ! cmp --quiet "$lock" "$directory/.lock"; then
        echo "setup: $directory with $python"
        local before
        before=$(enter "$python")
        rm -rf "$directory"
        eval "$before" '$uv venv --quiet --python "${python#"$debian13"}" "$directory"'
        eval "$before" '$uv pip install --quiet --python "$directory" --no-deps --require-hashes --requirement "$lock"'
        printf '#!/bin/sh\nexec %s "%s/bin/python" "$@"\n' "$before" "$PWD/$directory" >"$directory/run"
        chmod +x "$directory/run"
        cp "$lock" "$directory/.lock"
    fi
    echo "setup: $name in $directory, $("$directory/run" --version)"
}

make_environment celery-redis-plus "$(find_python_3_13)"
for name in dramatiq huey rq taskiq; do
    make_environment "$name" "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')"
done
