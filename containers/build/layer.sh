#!/usr/bin/env bash
# Puts extras and a user's own packages on top of a finished image.
# Usage: layer.sh SEAL; the seal only has to stand in the definition.
set -euo pipefail

# shellcheck source=containers/build/debian.sh
. /build/containers/build/debian.sh

layer::debian() {
    local -a packages
    mapfile -t packages </build/debian
    ((${#packages[@]})) || return 0
    debian::install "${packages[@]}"
    debian::clean
}

layer::python() {
    local -ra install=(/opt/rl/bin/python -I -m pip install --quiet --no-cache-dir --no-deps --require-hashes)
    local lock
    # What the user installs by hand is held to the image's pins; these locks were solved with them.
    unset PIP_CONSTRAINT
    for lock in /build/locks/*.lock; do
        [[ -e $lock ]] || continue
        PIP_CONFIG_FILE=/dev/null "${install[@]}" --find-links /build/wheels --requirement "$lock"
    done
}

layer::conda() {
    [[ -e /build/environment.yml ]] || return 0
    PIP_CONFIG_FILE=/dev/null /opt/rl/bin/python -I -m pip install --quiet --no-cache-dir --no-deps --require-hashes \
        --target /build/tools --requirement /build/containers/requirements/build.lock
    PYTHONPATH=/build/tools /opt/rl/bin/python /build/containers/build/layer_conda.py
}

layer::debian
layer::conda
layer::python
/opt/rl/bin/python /build/containers/build/layer.py
[[ -s /build/environment ]] && cp /build/environment /.singularity.d/env/91-rlsif-layer.sh
/opt/rl/bin/python /build/containers/build/labels.py /build/labels.given >>"${APPTAINER_LABELS:-$SINGULARITY_LABELS}"
rm -rf /build
