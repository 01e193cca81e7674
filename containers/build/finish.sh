#!/usr/bin/env bash
# Runs in the final stage: Debian's libraries, the bundle, the labels.
# Usage: finish.sh SEAL
set -euo pipefail

readonly seal=$1
# shellcheck source=containers/build/debian.sh
. /build/containers/build/debian.sh

mapfile -t packages </build/containers/requirements/debian.txt
debian::install "${packages[@]}"
debian::clean
# Here, not in the build stage: copying gives files new times.
/opt/rl/bin/python /build/containers/build/bundle.py "$seal"
/opt/rl/bin/python /build/containers/build/labels.py /build/labels.given >>"${APPTAINER_LABELS:-$SINGULARITY_LABELS}"
rm -rf /build
