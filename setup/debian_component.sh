#!/usr/bin/env bash
# Add a component of Debian, such as non-free, to apt: the same mirrors, suites, keys and format as its sources
# of main, in a file of its own beside them. Removing that file undoes it.
#
#   setup/debian_component.sh COMPONENT
set -euo pipefail

component=$1
eval "$(apt-config shell parts Dir::Etc::sourceparts/d)" # with a slash at its end
as_root=()
((EUID == 0)) || as_root=(sudo)

# What apt itself made of its source files, one-line or deb822: the file and the mirror of each source of Debian's main.
targets() {
    apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(SITE)|$(SOURCESENTRY)' 'Created-By: Packages' |
        sed -nE 's/^Debian[^|]*\|main\|([^|]*)\|(.*):[0-9]+$/\1 \2/p' | sort --unique
}

# SOURCES… | MIRROR FILE: the entries of FILE for MIRROR with the component alone in place of theirs.
one_line_entries() {
    sed -nE "s/^(deb[[:space:]]+(\[[^]]*\][[:space:]]+)?$1\/?[[:space:]]+[^[:space:]]+)[[:space:]].*/\1 $component/p" "$2"
}

deb822_stanzas() {
    awk -v RS= -v ORS='\n\n' -v mirror="$1" -v component="$component" \
        'index($0, mirror) && /(^|\n)Types:[^\n]*deb/ && /(^|\n)Components:[^\n]*main/ {
             sub(/Types:[^\n]*/, "Types: deb"); sub(/Components:[^\n]*/, "Components: " component); print }' "$2"
}

added() {
    local ending=$1 read_entries=$2
    targets | while read -r mirror file; do
        [[ $file != *".$ending" ]] || "$read_entries" "$(quoted "$ending" "$mirror")" "$file"
    done | if [[ $ending == list ]]; then awk '!seen[$0]++'; else awk -v RS= -v ORS='\n\n' '!seen[$0]++'; fi
}

# A mirror stands in a regular expression for one-line sources only.
quoted() {
    if [[ $1 == list ]]; then sed -E 's/[][\/.^$*+?(){}|]/\\&/g' <<<"$2"; else echo "$2"; fi
}

write_file() {
    local entries path=${parts}neo-alexandria-$component.$1
    entries=$(added "$1" "$2")
    [[ -n $entries ]] || return 0
    printf '# Test documents of Neo Alexandria.\n%s\n' "$entries" | "${as_root[@]}" tee "$path" >/dev/null
    echo "setup: $component is in $path"
}

write_file list one_line_entries
write_file sources deb822_stanzas
