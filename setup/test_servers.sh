#!/usr/bin/env bash
# Find, else install, what the tests need besides Python packages, and say which it was:
# the servers, a browser, and packages whose documentation is the corpus of real HTML pages, PDFs and RFCs.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
shopt -s nullglob

found_program() {
    local path
    path=$(PATH="$(printf '%s:' /usr/lib/postgresql/*/bin /usr/lib/rabbitmq/bin)$PATH:/usr/sbin" command -v "$1") || return 1
    printf '  %-18s %s\n' "$1" "$path"
}

# Files of a documentation package: some images leave them out of an installed package.
found_files() {
    local package=$1 pattern=$2 wanted=$3 count
    count=$({ dpkg --listfiles "$package" 2>/dev/null || true; } | grep -E "$pattern" | while read -r path; do
        if [[ -e $path ]]; then echo "$path"; fi
    done | wc -l)
    ((count >= wanted)) || return 1
    printf '  %-18s %s files\n' "$package" "$count"
}

# PACKAGE itself, or the newest that the pattern finds in the package lists.
available() {
    local package=$1 pattern=$2
    if apt-cache show "$package" >/dev/null 2>&1; then
        echo "$package"
    else
        apt-cache search --names-only "$pattern" | awk '{print $1}' | sort --version-sort | tail -n 1
    fi
}

ensure_program() {
    found_program "$1" && return
    "$here/debian_packages.sh" "$2"
    found_program "$1" || { echo "setup: $2 is installed, but $1 is not found" >&2; exit 1; }
}

unpack_again() {
    local package=$1 directory
    directory=$(mktemp -d)
    (cd "$directory" && apt-get download --quiet --quiet "$package" && dpkg-deb --extract ./*.deb unpacked)
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" cp --recursive --no-clobber "$directory/unpacked/usr" /
    rm -rf "$directory"
}

ensure_files() {
    found_files "$1" "$2" "$3" && return
    "$here/debian_packages.sh" "$1"
    found_files "$1" "$2" "$3" && return
    unpack_again "$1"
    found_files "$1" "$2" "$3" || { echo "setup: $1 brought fewer than $3 files like $2" >&2; exit 1; }
}

ensure_documentation() {
    local package
    if dpkg-query --show "$1" >/dev/null 2>&1; then
        package=$1
    else
        package=$(available "$1" "$2")
        [[ -n $package ]] || { as_root_update; package=$(available "$1" "$2"); }
    fi
    [[ -n $package ]] || { echo "setup: no package like $1 in the package lists" >&2; exit 1; }
    ensure_files "$package" "$3" "$4"
}

# The files of a package of another component than main, which apt may not know of.
ensure_files_of_component() {
    local component=$1
    shift
    found_files "$@" && return
    apt-cache show "$1" >/dev/null 2>&1 || { "$here/debian_component.sh" "$component" && as_root_update; }
    ensure_files "$@"
}

as_root_update() {
    if ((EUID == 0)); then apt-get update --quiet --quiet; else sudo apt-get update --quiet --quiet; fi
}

echo "setup: programs and documents for the tests"
ensure_program redis-server redis-server
ensure_program rabbitmq-server rabbitmq-server
ensure_program epmd erlang-base
ensure_program postgres postgresql
ensure_program setpriv util-linux
"$here/toxiproxy.sh" || [[ ${CI:-} != true ]] # on a laptop without it, network faults are an error with its line
ensure_program chromium chromium
ensure_documentation python3.11-doc '^python3\.[0-9]+-doc$' '\.html$' 400
ensure_documentation postgresql-doc-15 '^postgresql-doc-[0-9]+$' '\.html$' 500
ensure_files r-cran-survival '\.pdf$' 5
ensure_files r-cran-zoo '\.pdf$' 1
ensure_files r-cran-lme4 '\.pdf$' 1
ensure_files_of_component non-free doc-rfc-std 'standard/rfc[0-9]+\.html\.gz$' 180
