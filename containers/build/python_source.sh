#!/usr/bin/env bash
# Build CPython 3.11 from Debian's source package and pack it as a conda package.
# Usage: python_source.sh FOLDER_FOR_THE_PACKAGE
set -euo pipefail

readonly packages=$1
readonly prefix=/build/cpython
readonly work=/build/cpython-source

fetch() {
    sed 's/^deb /deb-src /' /etc/apt/sources.list >/etc/apt/sources.list.d/source.list
    local -ra apt=(apt-get -q -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0)
    "${apt[@]}" update
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends \
        build-essential dpkg-dev pkg-config libbz2-dev libffi-dev liblzma-dev libncurses-dev \
        libreadline-dev libsqlite3-dev libssl-dev uuid-dev zlib1g-dev libexpat1-dev >/build/apt.log 2>&1
    mkdir -p "$work"
    cd "$work"
    # A mirror may lack the sources of security updates; the release itself always has its own.
    "${apt[@]}" source python3.11 || "${apt[@]}" source "python3.11/$(. /etc/os-release && echo "$VERSION_CODENAME")"
}

compile() {
    cd "$work"/python3.11-*/
    # Debian's patches move site-packages to dist-packages; a conda prefix wants CPython's layout.
    patch_series_reversed
    ./configure --prefix="$prefix" --enable-shared --enable-optimizations --with-system-expat \
        LDFLAGS="-Wl,-rpath,$prefix/lib" >/build/configure.log
    make -j"$(nproc)" >/build/make.log 2>&1 || { tail -30 /build/make.log; exit 1; }
    make install >>/build/make.log 2>&1
}

patch_series_reversed() {
    local -a series
    mapfile -t series < <(grep -v '^#' debian/patches/series | grep . || true)
    local i
    for ((i = ${#series[@]} - 1; i >= 0; i--)); do
        patch -p1 -R -s -f <"debian/patches/${series[i]%% *}"
    done
}

fetch
compile
python /build/containers/build/python_package.py "$prefix" "$packages"
