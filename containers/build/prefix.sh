#!/usr/bin/env bash
# Runs in the build stage: fills /opt/rl with the conda environment, the locked
# packages and this project, then makes it small.
set -euo pipefail

readonly variant=$1
readonly here=/build/containers
readonly requirements=$here/requirements

# The site's mirrors, proxies and certificates; see rlsif.images.site.
# shellcheck source=/dev/null
. /build/site/environment.sh

build::tools() {
    if [[ -s /build/site/sources.list ]]; then
        rm -rf /etc/apt/sources.list.d/*
        cp /build/site/sources.list /etc/apt/sources.list
    fi
    # A user namespace without subordinate ids cannot switch to apt's own user.
    local -ra apt=(apt-get -q -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0)
    "${apt[@]}" update
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends \
        python3 python3-venv binutils >/build/apt.log 2>&1 || { tail -20 /build/apt.log; exit 1; }
    python3 -m venv /build/tools
    /build/tools/bin/pip install -q --require-hashes -r "$requirements/build.lock"
    PATH=/build/tools/bin:$PATH
}

build::python_packages() {
    local -ra install=(uv pip install --quiet --python /opt/rl/bin/python --no-deps --no-cache)
    local -r lock=/build/$variant.lock
    # A wheel given in place of the locked TensorFlow takes that package out of the lock.
    python3 "$here/build/lock_without.py" "$requirements/$variant.lock" /build/wheels >"$lock"
    "${install[@]}" --require-hashes -r "$lock"
    local wheel extra
    for wheel in /build/wheels/*.whl; do
        [[ -e $wheel ]] && "${install[@]}" "$wheel"
    done
    while read -r extra; do
        "${install[@]}" --require-hashes -r "$requirements/extras/$extra.lock"
    done </build/extras
    "${install[@]}" --no-build-isolation /build/project
    "${install[@]}" --require-hashes -r "$requirements/dashboard.lock" --target /opt/rl/dashboard
}

build::tools
python /build/containers/build/conda_prefix.py
build::python_packages
python "$here/build/trim.py" /opt/rl
/opt/rl/bin/python "$here/build/bundle.py"
/opt/rl/bin/python -m compileall -q /opt/rl/dashboard
/opt/rl/bin/python "$here/build/labels.py" /build/labels.given >/build/labels
