#!/usr/bin/env bash
# Builds the Kafka Streams peer of the engine's benchmark, with its driver and oracle, and puts classes and jars into
# $BEACON_CACHE/kafka-streams/; prints nothing but what takes time. Does nothing when they are there and the sources
# are older. A minute and 180 MB of downloads the first time, seconds later.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

source=bench/kafka-streams
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$source/pom.xml")
target=$BEACON_CACHE/kafka-streams/$version
# By content: a checkout gives every file a new time.
print=$(find "$source/pom.xml" "$source/src" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
[ "$(cat "$target/built" 2>/dev/null)" = "$print" ] && exit 0

echo "setup: building the Kafka Streams peer into $target (the first time a minute and 180 MB of downloads) ..." >&2
mkdir -p "$BEACON_CACHE/kafka-streams"
# Into a directory of its own first: a build broken off half-way must not look complete.
partial=$(mktemp -d "$BEACON_CACHE/kafka-streams/partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
cp -r "$source/pom.xml" "$source/src" "$partial/"
if ! mvn -B -q -f "$partial/pom.xml" compile dependency:copy-dependencies \
    "-DoutputDirectory=$partial/libs" -DincludeScope=runtime >"$partial/maven.log" 2>&1; then
    tail -n 20 "$partial/maven.log" >&2
    echo "setup: Maven could not build $source: is Maven Central, or the mirror in ~/.m2/settings.xml, reachable?" >&2
    exit 1
fi
mv "$partial/target/classes" "$partial/classes"
rm -rf "$partial/target" "$partial/src" "$partial/pom.xml" "$partial/maven.log"
echo "$print" >"$partial/built"
chmod 755 "$partial"
rm -rf "$target"
mv "$partial" "$target"
trap - EXIT
