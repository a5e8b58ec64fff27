#!/usr/bin/env bash
# Puts the jars of one Apache Kafka broker, as named by scenari/kafka/pom.xml, into $BEACON_CACHE/kafka/<version>/.
# Does nothing when they are there. Half a minute and 54 MB of downloads the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

pom=scenari/kafka/pom.xml
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom")
jars=$BEACON_CACHE/kafka/$version
[ -e "$jars/kafka_2.13-$version.jar" ] && exit 0

echo "setup: resolving Apache Kafka $version by Maven into $jars (54 MB, usually half a minute) ..."
mkdir -p "$BEACON_CACHE/kafka"
# Into a directory of its own first: a download broken off half-way must not look complete.
partial=$(mktemp -d "$BEACON_CACHE/kafka/partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
if ! mvn -B -q -f "$pom" dependency:copy-dependencies "-DoutputDirectory=$partial" >"$partial/maven.log" 2>&1; then
    tail -n 20 "$partial/maven.log" >&2
    echo "setup: Maven could not resolve Kafka $version: is Maven Central, or the mirror in ~/.m2/settings.xml, reachable?" >&2
    exit 1
fi
rm -rf "$jars"
chmod 755 "$partial"
mv "$partial" "$jars"
trap - EXIT
echo "setup: Kafka $version is in $jars"
