#!/usr/bin/env bash
# Make a Debian 13 for its servers (RabbitMQ 4.0, Redis 8.0, Valkey 8.1) and its Python 3.13, where that is possible.
# chaos/servers/userland.py runs them. Made once, beside and then renamed: an interrupted run leaves nothing in use.
#
#   setup/debian13.sh
#
# Ends with 69 and one line that says why where it cannot be made.
set -euo pipefail

root=/var/cache/neo-alexandria/debian-13
packages=rabbitmq-server,redis-server,valkey-server,python3-venv
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

not_here() {
    echo "setup: no Debian 13 for its servers: $*" >&2
    exit 69
}

((EUID == 0)) || not_here "that takes root"
[[ -L /bin && -L /lib64 ]] || not_here "this machine keeps /bin apart from /usr/bin"
unshare --mount true 2>/dev/null || not_here "mounting is not allowed here (a container needs --privileged)"

mkdir -p "${root%/*}"
exec 9>"$root.lock"
flock 9

if [[ $(cat "$root/.packages" 2>/dev/null) == "$packages" ]]; then
    echo "setup: Debian 13 is in $root"
    exit 0
fi

"$(dirname "$0")/debian_packages.sh" debootstrap
echo "setup: debootstrap makes a Debian 13 in $root"
rm -rf --one-file-system "$root.new"
# In a mount namespace of its own, so that even SIGKILL leaves nothing mounted.
if ! unshare --mount --propagation private debootstrap --force-check-gpg --variant=minbase --include="$packages" \
    trixie "$root.new" "$mirror" >"$root.log" 2>&1; then
    tail -n 20 "$root.log" >&2
    exit 1
fi
rm -rf "$root.new/var/cache/apt/archives" "$root.new/var/lib/apt/lists"
echo "$packages" >"$root.new/.packages"
rm -rf --one-file-system "$root"
mv "$root.new" "$root"
