#!/usr/bin/env bash
# Puts Azurite, Microsoft's emulator of Azure Blob Storage, as named by scenari/azurite/package.json, into
# $BEACON_CACHE/azurite/<version>/. Does nothing when it is there. Half a minute the first time, and 190 MB on the disk.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

source=scenari/azurite
version=$(sed -n 's/.*"azurite": "\(.*\)".*/\1/p' "$source/package.json")
target=$BEACON_CACHE/azurite/$version
[ -e "$target/node_modules/azurite/package.json" ] && exit 0

echo "setup: resolving Azurite $version by npm into $target (190 MB, usually half a minute) ..."
mkdir -p "$BEACON_CACHE/azurite"
# Into a directory of its own first: a download broken off half-way must not look complete.
partial=$(mktemp -d "$BEACON_CACHE/azurite/partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
cp "$source/package.json" "$source/package-lock.json" "$partial/"
# Its packages have nothing to do at their installation that a server of blobs needs.
if ! npm ci --prefix "$partial" --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund >"$partial/npm.log" 2>&1; then
    tail -n 20 "$partial/npm.log" >&2
    echo "setup: npm could not resolve Azurite $version: is npm's registry, or the mirror in ~/.npmrc, reachable?" >&2
    exit 1
fi
rm -rf "$target"
chmod 755 "$partial"
mv "$partial" "$target"
trap - EXIT
echo "setup: Azurite $version is in $target"
