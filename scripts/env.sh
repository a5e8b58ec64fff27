# Sourced by every script and by make: the same compiler and target directory everywhere, so that RocksDB and
# librdkafka (nine minutes of C++) are compiled once per machine and not once per checkout.
BEACON_CACHE="${BEACON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/beacon}"
export BEACON_CACHE
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$BEACON_CACHE/target}"
export CCACHE_DIR="${CCACHE_DIR:-$BEACON_CACHE/ccache}"
export CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-4G}"
# Where rustup puts it; a shell that was open when it was installed does not know yet.
command -v cargo >/dev/null 2>&1 || PATH="$PATH:$HOME/.cargo/bin"
export PATH
# clang++ compiles RocksDB in half the time of g++; ccache makes later profiles and clean clones cost seconds.
if command -v clang++ >/dev/null 2>&1; then
    if command -v ccache >/dev/null 2>&1; then
        export CC="ccache clang" CXX="ccache clang++"
    else
        export CC="clang" CXX="clang++"
    fi
fi
