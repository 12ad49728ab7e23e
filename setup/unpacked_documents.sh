#!/usr/bin/env bash
# Unpack, without installing them, Debian packages whose texts are about other things than computers: what the tests of
# classification read (tests/subject_documents.py). 25 MB, once.
#
#   setup/unpacked_documents.sh
set -euo pipefail

packages=(anarchism bible-kjv bible-kjv-text dict-elements gnugo homebank-data qbrew
    r-cran-gstat r-cran-janeaustenr r-cran-psych r-cran-sp solfege-doc)
if ((EUID == 0)); then cache=/var/cache; else cache=${XDG_CACHE_HOME:-$HOME/.cache}; fi
directory=$cache/neo-alexandria/documents

mkdir -p "$directory"
exec 9>"$directory.lock"
flock 9
rm -rf "$directory"/.new-*  # of a run that was killed
missing=()
for package in "${packages[@]}"; do
    [[ -d $directory/$package ]] || missing+=("$package")
done
if ((${#missing[@]})); then
    echo "setup: unpacks ${missing[*]}"
    work=$(mktemp -d "$directory/.new-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    # Package lists may be absent or out of date: an update is tried when the first download fails.
    download=(apt-get download --quiet --quiet)
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    (cd "$work" && { "${download[@]}" "${missing[@]}" >/dev/null 2>&1 ||
        { "${as_root[@]}" apt-get update --quiet --quiet && "${download[@]}" "${missing[@]}" >/dev/null; }; })
    for package in "${missing[@]}"; do
        dpkg-deb --extract "$work/${package}_"*.deb "$work/$package"
        mv "$work/$package" "$directory/$package"  # whole or not at all
    done
fi
printf '  %-18s %s\n' "subject documents" "$directory"
