#!/usr/bin/env bash
# Run a command beside a Docker engine of its own, and leave nothing of it behind: however the command or this script ends.
#
#   setup/private_docker.sh COMMAND…
#
# The engine lives in private namespaces (processes, mounts, network). The machine's own engine, firewall, interfaces and
# mounts are never touched, and the kernel ends and unmounts all of it with the first process of the namespaces.
# What it reaches of the world goes through slirp4netns, a network in user space. The command runs in there too: ports
# that containers publish on loopback are on its loopback. It finds the engine by DOCKER_HOST and DOCKER_CONFIG, and
# $ENGINE_DIR is a directory for its own large files.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "docker: $*" >&2
    exit 1
}

# ---- inside the namespaces

start_engine() {
    export DOCKER_HOST=unix://$ENGINE_DIR/docker.sock DOCKER_CONFIG=$ENGINE_DIR/config DOCKER_BUILDKIT=1
    mkdir -p "$DOCKER_CONFIG"
    dockerd --data-root "$ENGINE_DIR/data" --exec-root "$ENGINE_DIR/exec" --pidfile "$ENGINE_DIR/dockerd.pid" \
        --host "$DOCKER_HOST" --cgroup-parent "$ENGINE_CGROUP" --exec-opt native.cgroupdriver=cgroupfs \
        --dns 10.0.2.3 >"$ENGINE_DIR/dockerd.log" 2>&1 &
    engine=$!
    for _ in {1..150}; do
        if docker version >/dev/null 2>&1; then return; fi
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.2
    done
    fail "no engine can run here: $(tail -n 1 "$ENGINE_DIR/dockerd.log")"
}

inside() {
    ip link set lo up
    read -r -N 1 _ <"$ENGINE_DIR/online" # slirp4netns is ready
    start_engine
    local status=0
    "$@" || status=$?
    kill "$engine" # containers and mounts end with the namespaces, which end with this process
    wait "$engine" || true
    exit "$status"
}

# ---- outside

end() {
    trap - EXIT
    if [[ -n ${network:-} ]]; then kill "$network" 2>/dev/null || true; fi
    for _ in {1..50}; do # the kernel needs a moment to let go of the last mount
        find /sys/fs/cgroup -depth -type d -path "*$ENGINE_CGROUP*" -exec rmdir {} + 2>/dev/null || true
        if rm -rf --one-file-system "$ENGINE_DIR" 2>/dev/null; then return; fi
        sleep 0.2
    done
    echo "docker: $ENGINE_DIR could not be removed" >&2
}

outside() {
    ((EUID == 0)) || fail "an engine of its own needs root"
    "$here/debian_packages.sh" docker.io iptables iproute2 slirp4netns util-linux >&2
    if apt-cache show docker-cli >/dev/null 2>&1; then "$here/debian_packages.sh" docker-cli >&2; fi

    remove_abandoned
    ENGINE_DIR=$(mktemp --directory --tmpdir=/var/tmp "alexandria-docker.$$.XXXXXX")
    export ENGINE_DIR ENGINE_CGROUP=/${ENGINE_DIR##*/}
    trap end EXIT
    mkfifo "$ENGINE_DIR/pid" "$ENGINE_DIR/online"
    connect &
    network=$!
    # Jobs in the background ignore Ctrl-C unless told otherwise; with this shell, all of the namespaces are gone.
    env --default-signal=INT,QUIT setpriv --pdeathsig KILL unshare --net --mount --propagation private \
        "$here/private_docker.sh" --as-first-process "$@" &
    namespaces=$!
    trap 'kill -KILL "$namespaces" 2>/dev/null || true' TERM HUP # unshare heeds no other signal; all inside goes with it
    trap : INT
    local status=0
    while true; do
        status=0
        wait "$namespaces" || status=$?
        kill -0 "$namespaces" 2>/dev/null || break
    done
    exit "$status"
}

# What a run left that was itself killed: files. All else went with its namespaces.
remove_abandoned() {
    local directory owner
    for directory in /var/tmp/alexandria-docker.*; do
        owner=${directory#*docker.} owner=${owner%%.*}
        if [[ -d $directory && ! -d /proc/$owner ]]; then rm -rf --one-file-system "$directory"; fi
    done
}

connect() {
    local pid
    read -r pid <"$ENGINE_DIR/pid"
    exec setpriv --pdeathsig KILL slirp4netns --configure --mtu=65520 --disable-host-loopback --ready-fd=3 \
        "$pid" tap0 3>"$ENGINE_DIR/online" >"$ENGINE_DIR/network.log" 2>&1
}

case ${1:-} in
    --as-first-process)
        echo $$ >"$ENGINE_DIR/pid"
        exec unshare --pid --fork --kill-child=KILL --mount-proc "$here/private_docker.sh" --inside "${@:2}"
        ;;
    --inside) inside "${@:2}" ;;
    "") fail "which command?" ;;
    *) outside "$@" ;;
esac
