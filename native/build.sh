#!/bin/sh
# Compiles lzma-native for this machine: against the system's liblzma where its headers are (Debian: liblzma-dev), whose distribution
# mends it; else, or with `bundled`, with the 5.2.3 of 2016 that the package brings. Prints the version
# that the program then loads.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
package=$(cd "$here/../node_modules/lzma-native" && pwd)
export CFLAGS=-O3 CXXFLAGS=-O3
# The headers that lie beside this Node; node-gyp would download them.
node=$(node -p 'path.dirname(path.dirname(process.execPath))')
if [ -d "$node/include/node" ]; then export npm_config_nodedir="${npm_config_nodedir:-$node}"; fi

with_system() {
  echo '#include <lzma.h>' | "${CXX:-c++}" -E -x c++ - > /dev/null 2>&1 || return 1
  node-gyp rebuild --directory="$here" >&2 || return 1
  # Inside a condition `set -e` ends nothing.
  rm -rf "$package/build" && mkdir -p "$package/build/Release" &&
    mv "$here/build/Release/lzma_native.node" "$package/build/Release" || return 1
  rm -rf "$here/build"
}

if [ "${1:-}" = bundled ] || ! with_system; then node-gyp rebuild --directory="$package" >&2; fi
cd "$package"
node -p '`liblzma ${require("lzma-native").versionString()}`'
