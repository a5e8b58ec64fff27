#!/usr/bin/env bash
# Installs what a fresh Debian or Ubuntu machine lacks: `setup.sh build` for compiling, `setup.sh test` for all tests,
# `setup.sh bench` for the benchmarks beside Kafka Streams (a Java compiler) on top of that.
# Says what it installs, uses sudo when not root, does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    echo "usage: scripts/setup.sh build|test|bench" >&2
    exit 2
}
[ $# -eq 1 ] || usage
case $1 in build | test | bench) ;; *) usage ;; esac

fail() {
    echo "setup: $*" >&2
    exit 1
}

missing=()
# need PACKAGE COMMAND...: the package is missing when the command fails. `A|B`: A, or where this release has none, B.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
header() { [ -e "/usr/include/$1" ]; }
libclang() { compgen -G '/usr/lib/llvm-*/lib/libclang.so*' || compgen -G '/usr/lib/*/libclang*.so*'; }
java_17() {
    local version
    version=$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 17 ]
}
node_18() {
    local version
    version=$(node --version | sed -n 's/^v\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 18 ]
}
aiosmtpd() { compgen -G '/usr/lib/python3/dist-packages/aiosmtpd/__init__.py'; }

need clang command -v clang++
need libclang-dev libclang
need ccache command -v ccache
need make command -v make
need pkg-config command -v pkg-config
need zlib1g-dev header zlib.h
need libssl-dev header openssl/ssl.h
need libc6-dev header stdio.h
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
if [ "$1" != build ]; then
    need 'openjdk-17-jre-headless|default-jre-headless' java_17
    need maven command -v mvn
    need prometheus command -v prometheus
    need prometheus-alertmanager command -v amtool
    need python3 test -x /usr/bin/python3
    need python3-aiosmtpd aiosmtpd
    need kcat command -v kcat
    need swift-proxy command -v swift-proxy-server
    need swift-account command -v swift-account-server
    need swift-container command -v swift-container-server
    need swift-object command -v swift-object-server
    need memcached command -v memcached
    need nodejs command -v node
    need npm command -v npm
fi
if [ "$1" = bench ]; then
    need 'openjdk-17-jdk-headless|default-jdk-headless' command -v javac
    need util-linux command -v taskset
fi

packages=()
# Of alternatives the first that this release has, or else the last, so that apt names it.
packages() {
    local wanted package
    for wanted in "${missing[@]}"; do
        for package in ${wanted//|/ }; do
            [ -z "$(apt-cache --quiet=0 madison "$package" 2>/dev/null)" ] || break
        done
        packages+=("$package")
    done
}

install() {
    command -v apt-get >/dev/null || fail "apt-get is missing; install these with this machine's package tool: ${missing[*]}"
    local root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "neither root nor sudo; as root run: apt-get install ${missing[*]}"
        root=(sudo)
    fi
    echo "setup: installing ${missing[*]} (usually one to three minutes) ..."
    local log
    log=$(mktemp)
    # Prometheus, Alertmanager, Swift and memcached come as daemons; the tests start their own, and nothing else should run.
    if [ "$1" != build ] && [ ! -e /usr/sbin/policy-rc.d ]; then
        # shellcheck disable=SC2064  # the array is to be expanded now
        trap "${root[*]} rm -f /usr/sbin/policy-rc.d" EXIT
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
        "${root[@]}" chmod 755 /usr/sbin/policy-rc.d
    fi
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -y)
    # What a release has is known after the update only.
    if ! { "${apt[@]}" update && packages && "${apt[@]}" install --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        fail "apt-get could not install ${missing[*]}; its last words are above, all of them in $log"
    fi
    rm -f "$log"
    echo "setup: installed ${missing[*]}"
}

[ ${#missing[@]} -eq 0 ] || install "$1"
command -v cargo >/dev/null || [ -x "$HOME/.cargo/bin/cargo" ] ||
    fail "cargo is missing; install Rust from https://rustup.rs, then try again"
if [ "$1" != build ]; then
    java_17 || fail "java is older than 17 although openjdk-17-jre-headless or a later one is installed; choose it by 'update-alternatives --config java'"
    node_18 || fail "node is older than 18; install a later one, as https://nodejs.org says"
    scripts/kafka-jars.sh
    scripts/azurite.sh
fi
if [ "$1" = bench ]; then
    scripts/kafka-streams.sh
fi
