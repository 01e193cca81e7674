#!/usr/bin/env bash
# Compile every lock file anew, with the newest versions that the *.in files allow.
# Usage: make lock. Needs uv on PATH.
set -euo pipefail
cd "$(dirname "$0")"

compile() {
    local -r name=$1
    shift
    uv pip compile --quiet --upgrade --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
        "$@" "$name.in" --output-file "$name.lock"
}

# The images and what is built for them run Python 3.11, on any x86-64 Linux of this age.
readonly image=(--python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-annotate)
compile cpu "${image[@]}" --override cpu.overrides
# The same versions in both images, wherever both have a package.
compile gpu "${image[@]}" --constraint cpu.lock
# What an extra shares with the images or with another extra has one version, so that several go into one image.
constraints=(--constraint cpu.lock)
for extra in box2d notebook wandb mlflow mujoco robotics atari minigrid pettingzoo envpool gym dm_control; do
    compile "extras/$extra" "${image[@]}" --override extras.overrides "${constraints[@]}"
    constraints+=(--constraint "extras/$extra.lock")
done
# Only what is not in the images anyway.
mapfile -t there < <(sed -n 's/^\([a-z][^ =]*\)==.*/--no-emit-package=\1/p' cpu.lock)
compile dashboard "${image[@]}" --constraint cpu.lock "${there[@]}"
compile build "${image[@]}"
compile host --universal --python-version 3.9 --no-annotate
compile dev --universal --python-version 3.11 --no-annotate --constraint cpu.lock
