#!/bin/sh
# Makes these databases again, from the sources of the version that left them:
#
#	make.sh [COMMIT]
#
# The host gets a name of its own for as long as that takes, since the records name it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
git -C "$(git -C "$here" rev-parse --show-toplevel)" archive "${1:-aede3a7}" | tar -x -C "$old"

mkdir "$old/internal/torture/made"
cp "$here"/make/*.go "$old/internal/torture/made"
(cd "$old" && go build -o "$old/made" ./internal/torture/made)
rm -f "$here"/*.gz
unshare --user --map-root-user --uts sh -c 'hostname app && exec "$0" "$1"' "$old/made" "$here"
