#!/bin/sh
# Turns the default configuration and the host lists into C: embed.sh OUT.c DEFAULT.conf LIST.hosts...
# The same files give the same bytes, whatever the order in which they are named.
set -eu
LC_ALL=C
export LC_ALL

if [ $# -lt 2 ]; then
    echo "usage: embed.sh OUT.c DEFAULT.conf LIST.hosts..." >&2
    exit 2
fi
out=$1
default=$2
shift 2

# Every byte in octal, three digits each, so that none can end the string or run into the next.
embed_bytes() {
    od -An -v -to1 "$1" | sed -e 's/[[:space:]]*$//' -e 's/[[:space:]][[:space:]]*/\\/g' -e 's/^/    "/' -e 's/$/"/'
}

embed_string() {
    echo
    echo "static const char $1[] ="
    embed_bytes "$2"
    echo '    "";'
}

# NAME and PATH of each list, in order of name.
embed_lists() {
    for path in "$@"; do
        name=${path##*/}
        printf '%s\t%s\n' "${name%.hosts}" "$path"
    done | sort
}

embed_file() {
    echo '/* The default configuration and the built-in host lists: made by src/config/embed.sh from conf/, not to be edited. */'
    echo '#include "config/hosts_builtin.h"'
    embed_string DEFAULT "$default"
    embed_lists "$@" | {
        rows=
        number=0
        while IFS='	' read -r name path; do
            embed_string "LIST_$number" "$path"
            rows="$rows    {\"$name\", LIST_$number, sizeof(LIST_$number) - 1},
"
            number=$((number + 1))
        done
        echo
        echo 'const struct embedded_file HOSTS_BUILTIN[] = {'
        printf '%s' "$rows"
        echo '    {NULL, NULL, 0},'
        echo '};'
    }
    echo
    echo 'const struct embedded_file CONFIG_DEFAULT = {"exeat.default.conf", DEFAULT, sizeof(DEFAULT) - 1};'
}

for path in "$default" "$@"; do
    if [ ! -r "$path" ]; then
        echo "embed.sh: cannot read $path" >&2
        exit 1
    fi
done
# Whole or not at all: a build that was interrupted must not find half a file.
trap 'rm -f "$out.new"' EXIT
embed_file "$@" > "$out.new"
mv -f "$out.new" "$out"
