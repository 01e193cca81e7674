"""What a user adds on top of an image: packages by name, solved once and locked beside the user's own file."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlsif.errors import InputError, RlsifError
from rlsif.images.sif import Images
from rlsif.images.site import Site

REQUIREMENTS = (".txt", ".toml", ".in")


@dataclass(frozen=True)
class Additions:
    """Packages of a user's own: from PyPI, from conda, from Debian. A wheelhouse takes the place of the index."""

    requirements: Path | None = None
    environment: Path | None = None
    debian: tuple[str, ...] = ()
    wheelhouse: Path | None = None

    def __post_init__(self) -> None:
        """Check it. Raises InputError."""
        if self.requirements and not (self.requirements.is_file() and self.requirements.suffix in REQUIREMENTS):
            raise InputError(
                f"REQUIREMENTS is {self.requirements}, which is not a file like requirements.txt or pyproject.toml"
            )
        if self.environment and not self.environment.is_file():
            raise InputError(f"ENVIRONMENT is {self.environment}, which is not a file like environment.yml")
        if self.wheelhouse and not self.wheelhouse.is_dir():
            raise InputError(f"WHEELHOUSE is {self.wheelhouse}, which is not a folder")
        for package in self.debian:
            if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*(=\S+)?", package):
                raise InputError(f"APT has {package!r}, which is not the name of a Debian package")

    def files(self) -> list[Path]:
        """The files that decide what is installed."""
        lock = lock_of(self.requirements) if self.requirements else None
        return [p for p in (lock, self.environment) if p is not None]

    def told(self) -> list[str]:
        """What is added, in some words each."""
        files = [p.name for p in (self.requirements, self.environment) if p]
        return [*files, *(f"{p} (Debian)" for p in self.debian)]


def lock_of(requirements: Path) -> Path:
    """The lock beside a file of requirements."""
    return requirements.with_name(f"{requirements.name}.lock")


def lock_is_current(requirements: Path, image_lock: Path) -> bool:
    """Whether the lock there was solved from these requirements, for an image with this lock."""
    lock = lock_of(requirements)
    return lock.is_file() and lock.read_text().startswith(_first_line(requirements, image_lock))


def solve(added: Additions, image_lock: Path, base: Path, images: Images, site: Site) -> None:
    """Solve the requirements by the base image's own pip, with its packages as they are, and write the lock.

    Raises InputError, with both sides in a sentence, where they cannot go together.
    """
    assert added.requirements
    with tempfile.TemporaryDirectory(prefix="rlsif-solve-") as temporary:
        work = Path(temporary)
        site.stage(work / "site", "")
        output = work / "lock"
        command = ["packages", "lock", "-r", str(added.requirements.absolute()), "--output", str(output)]
        folders = [work, added.requirements.absolute().parent]
        if added.wheelhouse:
            folders.append(added.wheelhouse.absolute())
            command += ["--wheelhouse", str(added.wheelhouse.absolute())]
        binds = [option for folder in folders for option in ("--bind", str(folder))]
        script = f"{site.shell_environment(work / 'site')}exec {shlex.join(command)}"
        status, said = images.execute(base, ["sh", "-c", script], binds)
        if status != 0:
            told = re.search(r"(?m)^error: (.+)", said)
            kind = InputError if status == InputError.exit_code else RlsifError
            raise kind(f"{added.requirements.name}: {told[1] if told else said.strip()[-300:]}")
        _write(lock_of(added.requirements), _first_line(added.requirements, image_lock) + output.read_text())


def stage_layer(added: Additions, extra_files: Sequence[Path], staging: Path) -> None:
    """Put what a layer is made of into the folder that becomes /build."""
    locks = staging / "locks"
    locks.mkdir()
    debian = list(added.debian)
    environment = ""
    for path in extra_files:
        if path.suffix == ".lock":
            shutil.copy(path, locks / path.name)
        elif path.suffix == ".debian":
            debian += path.read_text().split()
        elif path.suffix == ".env":
            environment += path.read_text()
    if added.requirements:
        shutil.copy(lock_of(added.requirements), locks / "requirements.lock")
    if added.environment:
        (staging / "environment.yml").write_text(_with_channels(added.environment.read_text(), staging))
    if added.wheelhouse:
        shutil.copytree(added.wheelhouse, staging / "wheels", dirs_exist_ok=True)
    (staging / "debian").write_text("".join(f"{package}\n" for package in dict.fromkeys(debian)))
    (staging / "environment").write_text(environment)


def _with_channels(environment: str, staging: Path) -> str:
    """The text of an environment.yml, with the channels that are folders of this machine brought along."""
    for number, folder in enumerate(dict.fromkeys(re.findall(r"file://([^\s,\]'\"]+)", environment))):
        shutil.copytree(folder, staging / f"channel-{number}")
        environment = environment.replace(f"file://{folder}", f"file:///build/channel-{number}")
    return environment


def _first_line(requirements: Path, image_lock: Path) -> str:
    asked, pins = (hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in (requirements, image_lock))
    return f"# Solved for rlsif from {requirements.name} ({asked}) beside {image_lock.name} ({pins}).\n"


def _write(lock: Path, text: str) -> None:
    try:
        lock.write_text(text)
    except OSError as problem:
        raise RlsifError(f"the lock {lock} cannot be written: {problem.strerror}") from None
