"""Where the parts of an image come from: the first of each list that this machine reaches."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from rlsif.errors import InputError, RlsifError
from rlsif.images import debian
from rlsif.images.sif import ImageError, Images
from rlsif.images.site import Site

RELEASE = "bookworm"
# The C library of that release; a CPython that wants a newer one cannot move into it.
GLIBC = (2, 36)
REGISTRY_IMAGE = f"docker://debian:{RELEASE}-slim"
SECONDS_TO_ANSWER = 10
# An ordinary user who unpacks the image cannot give a file to any group but their own.
ALL_ROOT = "-all-root"
LOCAL = "local"


@dataclass(frozen=True)
class Choice:
    """What was taken, and how the user would force another."""

    value: str
    told: str


def base(images: Images, site: Site, work: Path, options: list[str]) -> Choice:
    """An image of a Debian slim: from a Docker registry, else made from the machine's mirror.

    RL_BASE=registry|mirror forces one. Raises InputError or RlsifError when none can be had.
    """
    forced = os.environ.get("RL_BASE", "")
    if forced not in ("", "registry", "mirror"):
        raise InputError(f"RL_BASE is {forced!r}; it can be registry or mirror")
    target = work / "base.sif"
    options = [*options, "--mksquashfs-args", f"{ALL_ROOT} -comp zstd -Xcompression-level 1"]
    if forced != "mirror":
        try:
            images.build(REGISTRY_IMAGE, target, options)
            return Choice(str(target), "base from a Docker registry (RL_BASE=mirror for the Debian mirror)")
        except ImageError:
            if forced == "registry":
                raise
    if site.debian_mirror is None:
        raise RlsifError(
            "no Docker registry answers and /etc/apt names no Debian mirror; set DEBIAN_MIRROR, or build elsewhere"
        )
    archive = work / "rootfs.tar"
    debian.root_file_system(site, RELEASE, archive, work)
    definition = work / "base.def"
    definition.write_text(f"Bootstrap: scratch\n\n%setup\n    tar -xpf '{archive}' -C \"$APPTAINER_ROOTFS\"\n")
    images.build(definition, target, options)
    return Choice(str(target), "base from the machine's Debian mirror (RL_BASE=registry for a Docker registry)")


def channel(site: Site, staging: Path) -> Choice:
    """The conda channel: CONDA_CHANNEL, else conda-forge, else one that the build makes itself.

    For the last, a CPython 3.11 of this machine is packed into `staging`/packages if one can move.
    """
    (staging / "packages").mkdir()
    given = os.environ.get("CONDA_CHANNEL")
    if given and given.startswith("file://"):
        shutil.copytree(given[len("file://") :], staging / "given-channel")
        return Choice("file:///build/given-channel", f"conda packages from {given}")
    if given and given != LOCAL:
        return Choice(given, f"conda packages from {given}")
    if not given and _answers("conda-forge", site):
        return Choice("conda-forge", "conda packages from conda-forge (CONDA_CHANNEL for another)")
    found = None if os.environ.get("RL_PYTHON_SOURCE") == "1" else movable_python()
    if found:
        script = Path(__file__).parents[3] / "containers/build/python_package.py"
        subprocess.run([sys.executable, script, found, staging / "packages"], check=True, stdout=subprocess.DEVNULL)
    origin = "the CPython 3.11 of this machine" if found else "Debian's source of CPython 3.11"
    return Choice(LOCAL, f"conda packages from a local channel made of {origin} (CONDA_CHANNEL for another)")


def movable_python() -> Path | None:
    """The prefix of a CPython 3.11 on this machine that can be moved into the base, if there is one."""
    names = [str(p) for p in Path.home().glob(".pyenv/versions/3.11.*/bin/python3.11")]
    names += [p for p in (shutil.which("python3.11"), shutil.which("python3"), sys.executable) if p]
    return next((Path(prefix) for prefix in map(_movable_prefix, names) if prefix), None)


def _movable_prefix(python: str) -> str | None:
    """The prefix of an interpreter that is 3.11, has CPython's own layout and wants no newer C library."""
    code = (
        "import json, platform, sys, sysconfig; print(json.dumps([sys.base_prefix, list(sys.version_info[:2]),"
        " sysconfig.get_default_scheme(), platform.libc_ver()[1], platform.machine()]))"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    prefix, version, scheme, libc, machine = json.loads(done.stdout)
    # Debian's own interpreter keeps its modules in dist-packages, outside any prefix.
    alike = version == [3, 11] and scheme == "posix_prefix" and prefix != "/usr" and machine == "x86_64"
    return prefix if alike and libc and tuple(map(int, libc.split("."))) <= GLIBC else None


def _answers(channel_name: str, site: Site) -> bool:
    """Whether a conda channel can be read from here."""
    import rattler

    address = rattler.Channel(channel_name).base_url.rstrip("/") + "/noarch/repodata.json.zst"
    request = urllib.request.Request(address, method="HEAD")
    context = ssl.create_default_context(cafile=str(site.ca_bundle) if site.ca_bundle else None)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_TO_ANSWER, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
