#!/usr/bin/env bash
# Runs in the build stage: fills /opt/rl with the conda environment, the locked
# packages and this project, then makes it small.
set -euo pipefail

readonly variant=$1
readonly here=/build/containers
readonly requirements=$here/requirements

# shellcheck source=containers/build/debian.sh
. "$here/build/debian.sh"

build::tools() {
    debian::install python3 python3-venv binutils
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
    local wheel
    for wheel in /build/wheels/*.whl; do
        [[ -e $wheel ]] && "${install[@]}" "$wheel"
    done
    "${install[@]}" --no-build-isolation /build/project
    # It imports pkg_resources where that is there, which takes its time and warns; it can do without.
    sed -i 's/^    from pkg_resources import .*/    raise ImportError/' /opt/rl/lib/python3.11/site-packages/pygame/pkgdata.py
    "${install[@]}" --require-hashes -r "$requirements/dashboard.lock" --target /opt/rl/dashboard
}

build::tools
python /build/containers/build/conda_prefix.py
build::python_packages
python "$here/build/trim.py" /opt/rl
/opt/rl/bin/python "$here/build/pins.py" "$(cat /build/shared)"
/opt/rl/bin/python -m compileall -q /opt/rl/dashboard
