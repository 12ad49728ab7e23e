#!/usr/bin/env bash
# Install the named Debian packages that are missing. No service is started.
#
#   setup/debian_packages.sh PACKAGE…
set -euo pipefail

missing=()
for package in "$@"; do
    if [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
        missing+=("$package")
    fi
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup: not installed, and there is no apt-get: ${missing[*]}" >&2
    exit 1
fi
as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "setup: run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

# One after the other: apt-get does not wait for another apt-get that reads the lists.
exec 9>"${TMPDIR:-/tmp}/neo-alexandria-apt.$EUID.lock"
flock 9

# Debian asks this program before a package may start its service; 101 forbids it.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi

echo "setup: apt-get installs ${missing[*]}"
# Package lists may be absent or out of date: an update is tried when the first install fails.
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --option DPkg::Lock::Timeout=300 --yes --quiet --quiet --no-install-recommends)
if ! "${install[@]}" "${missing[@]}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get update --quiet --quiet
    "${install[@]}" "${missing[@]}" >/dev/null
fi
