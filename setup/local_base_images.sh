#!/usr/bin/env bash
# Make base images where no registry of images can be reached, from Debian 13's packages, and the Compose plugin.
# Run beside a private engine (setup/private_docker.sh); names and entry points: tests/compose/.
#
#   setup/local_base_images.sh python     alexandria-test/python: Python and nothing else
#   setup/local_base_images.sh servers    alexandria-test/{postgres,redis,rabbitmq}; after `python`
#   setup/local_base_images.sh compose    the plugin into $DOCKER_CONFIG; after `python`
#
# How this machine reaches its package registries (mirrors, certificates, pip.conf) is copied into the images: they are
# for this run alone.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
entry_points=$here/../tests/compose/images
root=${ENGINE_DIR:?run this by setup/private_docker.sh}/debian
suite=trixie
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}

is_made() {
    docker image inspect "alexandria-test/$1" >/dev/null 2>&1
}

install() {
    DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install --option Dpkg::Options::=--force-unsafe-io --yes --quiet --quiet --no-install-recommends "$@" \
        >"$ENGINE_DIR/apt.log" 2>&1 || { tail -n 5 "$ENGINE_DIR/apt.log" >&2; exit 1; }
}

import() {
    local name=$1
    shift
    tar --create --numeric-owner --one-file-system --directory "$root" \
        --exclude './var/cache/apt/*' --exclude './var/lib/apt/lists/*' --exclude './usr/share/doc/*' . \
        | docker import "$@" - "alexandria-test/$name" >/dev/null
}

python() {
    if is_made python; then return; fi
    "$here/debian_packages.sh" mmdebstrap debian-archive-keyring >&2
    local mirror
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | awk '$1 == "Debian" && $2 == "Debian" {print $3; exit}')
    mmdebstrap --mode=root --variant=minbase --dpkgopt=force-unsafe-io --include=ca-certificates,python3,python3-venv \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg --skip=cleanup/apt \
        "$suite" "$root" "${mirror:-http://deb.debian.org/debian}" >"$ENGINE_DIR/debian.log" 2>&1 \
        || { tail -n 5 "$ENGINE_DIR/debian.log" >&2; exit 1; }
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no package starts its service
    chmod 755 "$root/usr/sbin/policy-rc.d"
    if [[ -f $certificates ]]; then cp "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"; fi
    pip_configuration >"$root/etc/pip.conf"
    import python
}

pip_configuration() {
    echo "[global]"
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
    python3 -m pip config list 2>/dev/null \
        | sed -nE "s/^(global|:env:)\.(index-url|extra-index-url|trusted-host|timeout|default-timeout)='(.*)'$/\2 = \3/p"
}

servers() {
    if is_made rabbitmq; then return; fi
    chroot "$root" apt-get update --quiet --quiet
    install postgresql redis-server rabbitmq-server
    cp "$entry_points"/entrypoint-* "$root/usr/local/bin/"
    echo '[rabbitmq_management].' >"$root/etc/rabbitmq/enabled_plugins"
    import servers
    local name
    for name in postgres redis rabbitmq; do
        DOCKER_BUILDKIT=0 docker build --quiet --tag "alexandria-test/$name" --target "$name" "$entry_points" >/dev/null 2>&1
    done
}

compose() {
    if docker compose version >/dev/null 2>&1; then return; fi
    local package=$ENGINE_DIR/docker-compose
    mkdir -p "$package" "$DOCKER_CONFIG/cli-plugins"
    chroot "$root" apt-get update --quiet --quiet
    (cd "$root/tmp" && chroot "$root" sh -c 'cd /tmp && apt-get download --quiet --quiet docker-compose')
    dpkg-deb --extract "$root"/tmp/docker-compose_*.deb "$package"
    cp "$package/usr/libexec/docker/cli-plugins/docker-compose" "$DOCKER_CONFIG/cli-plugins/"
    rm "$root"/tmp/docker-compose_*.deb
}

"$1"
