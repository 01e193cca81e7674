"""Solve and install packages by the image's pip, with the image's own packages as they are.

Runs inside the image.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlsif.errors import InputError, RlsifError
from rlsif.packages import PINS, normalise

# A wheelhouse or the network may be slow; a solve that takes longer is given up, in seconds.
LONGEST = 1800
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# What pip must not take from the host: where to install, and other pins than the image's.
NOT_FROM_THE_HOST = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "PIP_CONSTRAINT", "PIP_REQUIRE_VIRTUALENV")


@dataclass(frozen=True)
class Pin:
    """A package as it was solved: the file that is installed has this SHA-256."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        """The entry of a lock file."""
        return f"{self.name}=={self.version} \\\n    --hash=sha256:{self.sha256}\n"


def requirements_of(file: Path) -> list[str]:
    """The requirements that a file names: a requirements.txt, or the dependencies of a pyproject.toml.

    Raises InputError for a file that is not there, and for lines that name no package.
    """
    if not file.is_file():
        raise InputError(f"{file} is not there; an image sees home, the working folder, /tmp and what --bind names")
    if file.suffix == ".toml":
        return _of_pyproject(file)
    lines = re.sub(r"\\\n", " ", file.read_text()).splitlines()
    found: list[str] = []
    for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines):
        nested = re.match(r"(?:-r|--requirement)[ =]\s*(\S+)", line)
        if nested:
            found += requirements_of(file.parent / nested[1])
        elif line.startswith("-"):
            raise InputError(
                f"{file} has the line {line!r}; it may have packages by name and version; PIP_INDEX_URL sets an index"
            )
        elif line:
            found.append(re.sub(r"\s*--hash=\S+", "", line))
    return found


def _of_pyproject(file: Path) -> list[str]:
    import tomllib

    try:
        project = tomllib.loads(file.read_text()).get("project", {})
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"{file} is no TOML: {problem}") from None
    if "dependencies" not in project:
        raise InputError(f"{file} has no dependencies in its [project]; write them there, or name a requirements.txt")
    return [str(d) for d in project["dependencies"]]


def solve(requirements: Sequence[str], wheelhouse: Path | None = None) -> list[Pin]:
    """The packages, with all that they depend on, that have to come to this image's own.

    With a wheelhouse, a folder of wheels, no index is asked. Raises InputError where the requirements cannot go
    together with the image's packages, and RlsifError where pip fails otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("\n".join(requirements) + "\n")
        constraints = ["--constraint", str(PINS / "constraints.txt")]
        said = _pip(["--dry-run", "--report", str(report), *constraints, *_sources(wheelhouse)], wanted)
        if said is not None:
            raise _refusal(said, wheelhouse)
        return sorted(map(_pin, json.loads(report.read_text())["install"]), key=lambda pin: pin.name)


def install(lock: Path, target: Path, wheelhouse: Path | None = None) -> None:
    """Install what a lock names into a folder. Raises RlsifError where pip fails."""
    said = _pip(["--no-deps", "--require-hashes", "--target", str(target), *_sources(wheelhouse)], lock)
    if said is not None:
        raise _refusal(said, wheelhouse)


def _pin(item: dict[str, dict[str, dict[str, dict[str, str]]]]) -> Pin:
    name, version = str(item["metadata"]["name"]), str(item["metadata"]["version"])
    hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
    if "sha256" not in hashes:
        raise InputError(
            f"{name} {version} comes from {item['download_info'].get('url')}, which has no hash; "
            "make a wheel of it, `pip wheel`, and name the wheel's folder by --wheelhouse"
        )
    return Pin(name, version, hashes["sha256"])


def _sources(wheelhouse: Path | None) -> list[str]:
    if wheelhouse is None:
        return []
    if not wheelhouse.is_dir():
        raise InputError(f"--wheelhouse is {wheelhouse}, which is not a folder that the image sees")
    return ["--no-index", "--find-links", str(wheelhouse)]


def _pip(options: list[str], requirements: Path) -> str | None:
    """Run `pip install`; None where it succeeds, else all that it said.

    Packages that were added before count for nothing: an isolated Python does not find them.
    """
    environment = {k: v for k, v in os.environ.items() if k not in NOT_FROM_THE_HOST}
    for name in CERTIFICATES:
        # The host's, which the image may not see. pip has certificates of its own.
        if name in environment and not Path(environment[name]).exists():
            del environment[name]
    command = [sys.executable, "-I", "-m", "pip", "install", "--no-input", "--no-color", "--progress-bar", "off"]
    try:
        done = subprocess.run(
            [*command, *options, "--requirement", str(requirements)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RlsifError(
            f"pip did not end within {LONGEST} s; try again, or give a folder of wheels by --wheelhouse"
        ) from None
    return None if done.returncode == 0 else done.stdout


def _refusal(said: str, wheelhouse: Path | None) -> RlsifError:
    """One sentence of what pip said."""
    conflict = re.search(r"The conflict is caused by:\n((?:    .*\n)+)", said)
    if conflict:
        return InputError(conflict_sentence([line.strip() for line in conflict[1].splitlines()]))
    where = f"in {wheelhouse}" if wheelhouse else "on the package index"
    unreachable = re.search(r"CERTIFICATE_VERIFY_FAILED|Failed to establish|NameResolutionError|ConnectTimeout", said)
    if unreachable:
        more = (
            "bind the host's certificates, `apptainer exec --bind /etc/ssl/certs ...`, and set SSL_CERT_FILE"
            if "CERTIFICATE" in unreachable[0]
            else "use a machine with a network, or a folder of wheels by --wheelhouse"
        )
        return RlsifError(f"the package index cannot be reached from here ({unreachable[0]}); {more}")
    missing = re.search(r"No matching distribution found for (.+)", said)
    if missing:
        versions = re.search(r"\(from versions: (.+)\)", said)
        there = f"; there are {versions[1]}" if versions and versions[1] != "none" else ""
        return InputError(f"there is no {missing[1]} {where} for Python 3.11 on x86-64 Linux{there}")
    errors = re.findall(r"(?m)^\s*(?:ERROR|error): (.+)", said)
    return RlsifError(f"pip failed: {errors[-1] if errors else said.strip()[-300:]}")


def conflict_sentence(sides: Sequence[str]) -> str:
    """Both sides of a conflict, from the lines that pip tells it in."""
    ours: dict[str, str] = {}
    theirs: list[tuple[str, str]] = []
    for side in dict.fromkeys(sides):
        constraint = re.search(r"\(constraint\) ([^=\s]+)==(\S+)", side)
        requested = re.match(r"The user requested (\S.*)", side)
        if constraint:
            ours[normalise(constraint[1])] = f"{constraint[1]} {constraint[2]}"
        elif requested:
            theirs.append((requirement_name(requested[1]), f"{requested[1]} is asked for"))
        else:
            theirs.append(
                (requirement_name(side.partition(" depends on ")[2]), side.replace(" depends on ", " wants "))
            )
    for name, told in theirs:
        if name in ours:
            return (
                f"{told}, but this image has {ours[name]}, which stays as it is; "
                "ask for another version, or change containers/requirements and build an image of your own"
            )
    return f"{', and '.join([*(told for _, told in theirs), *ours.values()])}; these cannot go together"


def requirement_name(requirement: str) -> str:
    """The normalised name of the package that a requirement is for."""
    return normalise(re.split(r"[\s\[<>=!~;@(]", requirement.strip(), maxsplit=1)[0])
