#!/usr/bin/env bash
# Debian's packages inside a build, from the mirror and through the proxies of the machine that builds.

# The site's mirrors, proxies and certificates; see rlsif.images.site.
# shellcheck source=/dev/null
. /build/site/environment.sh

debian::install() {
    if [[ -s /build/site/sources.list ]]; then
        rm -rf /etc/apt/sources.list.d/*
        cp /build/site/sources.list /etc/apt/sources.list
    fi
    # A user namespace without subordinate ids cannot switch to apt's own user.
    local -ra apt=(apt-get -q -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0)
    "${apt[@]}" update >/build/apt.log 2>&1 || { tail -20 /build/apt.log; exit 1; }
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "$@" >>/build/apt.log 2>&1 ||
        { tail -20 /build/apt.log; exit 1; }
}

# Documentation and package lists are of no use in an image.
debian::clean() {
    rm -rf /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
}
