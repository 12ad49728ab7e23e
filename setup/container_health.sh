#!/bin/bash
# Health of a container, told without starting an interpreter.
#
#   healthy http PORT PATH     a GET on loopback is answered with 200
#   healthy alive SECONDS      the process in here has said so ($ALIVE_FILE) within that time
set -euo pipefail

case $1 in
    http)
        exec 3<>"/dev/tcp/127.0.0.1/$2"
        printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$3" >&3
        read -r _ status _ <&3
        [[ $status == 200 ]] || { echo "$3 answers $status"; exit 1; }
        ;;
    alive)
        said=$(stat --format %Y "$ALIVE_FILE")
        age=$(($(date +%s) - said))
        ((age <= $2)) || { echo "no sign of life for $age s"; exit 1; }
        ;;
esac
