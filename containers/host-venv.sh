#!/usr/bin/env bash
# Make a virtual environment from a hashed lock, or do nothing when it is there and current.
# Usage: host-venv.sh FOLDER LOCK OLDEST_PYTHON, as in: host-venv.sh .venv host.lock 3.9
set -euo pipefail

readonly folder=$1 lock=$2 oldest=$3

host::fail() {
    printf 'error: %s\n' "$1" >&2
    exit 2
}

host::is_current() {
    [[ -x $folder/bin/python ]] && cmp -s "$lock" "$folder/lock"
}

host::check_python() {
    local -r test="import sys; sys.exit(sys.version_info[:2] < tuple(map(int, '$oldest'.split('.'))))"
    command -v python3 >/dev/null || host::fail "python3 is not on PATH; install Python $oldest or later, or load its module"
    python3 -c "$test" ||
        host::fail "python3 is $(python3 -V | cut -d' ' -f2), too old; $oldest or later is needed: load a newer module, or put it first on PATH"
}

# Debian splits pip from Python: root installs it, anyone else unpacks Debian's wheel of it.
host::make_venv() {
    rm -rf "$folder"
    python3 -m venv "$folder" 2>/dev/null && return
    rm -rf "$folder"
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        apt-get -qq update && apt-get -qq install -y python3-venv >/dev/null
        python3 -m venv "$folder"
        return
    fi
    python3 -m venv --without-pip "$folder" || host::fail "python3 cannot make a virtual environment; install python3-venv"
    host::unpack_pip
}

host::unpack_pip() {
    local -r work=$(mktemp -d)
    (cd "$work" && apt-get -q download python3-pip-whl && dpkg-deb -x python3-pip-whl*.deb .) >/dev/null 2>&1 ||
        host::fail "python3 has no pip; install python3-venv"
    local -ra wheel=("$work"/usr/share/python-wheels/pip-*.whl)
    "$folder/bin/python" "${wheel[0]}/pip" install -q --no-index --find-links "$work/usr/share/python-wheels" pip
    rm -rf "$work"
}

host::is_current && exit 0
host::check_python
host::make_venv
"$folder/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$lock"
"$folder/bin/python" - "$PWD/entrypoints" <<'PY'
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_paths()["purelib"], "rlsif.pth").write_text(sys.argv[1] + "\n")
PY
cp "$lock" "$folder/lock"
