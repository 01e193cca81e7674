"""The folder of packages beside the code: made anew and put in place whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlsif import packages
from rlsif.errors import InputError, RlsifError
from rlsif.packages.solve import Pin, install, requirement_name, solve

README = """Packages for the code beside this folder, put here by `packages add`. Each folder is for the images with
one set of pins. `requirements.in` has what was asked for, `requirements.lock` what was installed, with hashes.
This folder can be removed at any time.
"""


@dataclass(frozen=True)
class Added:
    """What was asked for and is there now, as `name version`; everything that was installed; and where."""

    asked: list[str]
    pins: list[Pin]
    folder: Path


def add(wanted: Sequence[str], root: Path, wheelhouse: Path | None = None) -> Added:
    """Solve these requirements with those of before, and install them all into the folder of this image.

    Raises InputError for what cannot go together with the image, RlsifError where it cannot be had.
    """
    digest = packages.image_digest()
    if digest is None:
        raise InputError("packages are added from inside an image: apptainer exec rl.sif packages add ...")
    folder = root / digest
    before = folder / packages.REQUESTED
    requested = _merge(before.read_text().splitlines() if before.is_file() else [], wanted)
    pins = solve(requested, wheelhouse)
    try:
        _install(requested, pins, folder, wheelhouse)
    except OSError as problem:
        raise RlsifError(f"packages cannot be written to {root}: {problem.strerror}; name a folder by --to") from None
    names = {requirement_name(line) for line in wanted}
    asked = [f"{p.name} {p.version}" for p in pins if packages.normalise(p.name) in names]
    return Added(asked, pins, folder)


def _install(requested: Sequence[str], pins: Sequence[Pin], folder: Path, wheelhouse: Path | None) -> None:
    root = folder.parent
    root.mkdir(parents=True, exist_ok=True)
    (root / "README").write_text(README)
    # Version control is to leave it out: wheels are large, and the lock says what they are.
    (root / ".gitignore").write_text("*\n")
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=root))
    try:
        lock = partial / packages.LOCK
        lock.write_text("".join(map(str, pins)))
        (partial / packages.REQUESTED).write_text("".join(f"{line}\n" for line in requested))
        if pins:
            install(lock, partial, wheelhouse)
        partial.chmod(0o777 & ~_umask())
        _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, folder: Path) -> None:
    """Swap folders. A process that runs keeps what it has loaded."""
    old = folder.with_name(f".old-{partial.name}")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _merge(before: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The requirements of before, less those that are asked for anew, and the new ones."""
    names = {requirement_name(line) for line in wanted}
    return [line for line in before if line and requirement_name(line) not in names] + list(dict.fromkeys(wanted))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
