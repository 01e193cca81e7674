"""Which packages there are beyond those that every image has: added beside the code, or in a layer of the image.

Runs with the standard library alone, at the start of runs and on hosts without an image.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

# What an image must be built with, `make image-cpu EXTRAS=...`, so that a module can be imported.
EXTRA_OF = {
    "Box2D": "box2d",
    "mujoco": "mujoco",
    "ale_py": "atari",
    "minigrid": "minigrid",
    "gymnasium_robotics": "robotics",
    "pettingzoo": "pettingzoo",
    "mpe2": "pettingzoo",
    "envpool": "envpool",
    "gym": "gym",
    "shimmy": "gym",
    "dm_control": "dm_control",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "jupyterlab": "notebook",
    "sklearn": "notebook",
}
# Where `packages add` puts packages, below the working folder; one folder for each set of pins of an image.
FOLDER = ".rlsif"
VARIABLE = "RLSIF_PACKAGES"
PINS = Path(sys.prefix) / "pins"
LOCK = "requirements.lock"
REQUESTED = "requirements.in"


def building(module: str) -> str:
    """What is to be done to have a module of an extra."""
    return f"build an image that has it: make image-cpu EXTRAS={EXTRA_OF[module]}"


def normalise(name: str) -> str:
    """The name of a project as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def image_digest(pins: Path = PINS) -> str | None:
    """What a folder of packages for this image is named; None outside an image."""
    path = pins / "digest"
    return path.read_text().strip() if path.is_file() else None


def pinned(lock: str) -> dict[str, str]:
    """The versions that a lock names, by package."""
    return {normalise(name): version for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", lock)}


def folders() -> list[Path]:
    """The folders of added packages that this process imports from."""
    digest = image_digest()
    return [Path(p) for p in sys.path if digest and Path(p).name == digest and (Path(p) / LOCK).is_file()]


def installed_packages() -> dict[str, str]:
    """The versions of all packages beyond the base image's: of layers, of own definitions, and beside the code."""
    found: dict[str, str] = {}
    for folder in folders():
        found.update(pinned((folder / LOCK).read_text()))
    return dict(sorted({**found, **_in_the_image()}.items()))


def _in_the_image() -> dict[str, str]:
    """What was installed on top of the base image, by the names of folders: reading each would take its time."""
    if not (PINS / "constraints.txt").is_file():
        return {}
    base = pinned((PINS / "constraints.txt").read_text()).keys() - pinned((PINS / "added.lock").read_text()).keys()
    site = PINS.parent / "lib/python3.11/site-packages"
    there = (p.name.removesuffix(".dist-info").rpartition("-") for p in site.glob("*.dist-info"))
    found = {normalise(name): version for name, _, version in there}
    return {name: version for name, version in found.items() if name not in base and name != "rlsif"}


def lacking(recorded: Mapping[str, str]) -> list[str]:
    """A phrase for each package that a run had, by `installed_packages`, and this process has not.

    `citylearn 2.5, which is missing here`, or `citylearn 2.5, where 2.4 is here`.
    """
    phrases = []
    for name, version in recorded.items():
        here = _version(name)
        if here is None:
            phrases.append(f"{name} {version}, which is missing here")
        elif here != version:
            phrases.append(f"{name} {version}, where {here} is here")
    return phrases


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def told(root: Path, digest: str | None) -> list[tuple[bool, str, str]]:
    """What there is below `root` for an image with this digest; nothing where no package was added.

    Each finding: whether that is right, a sentence, and the line that helps.
    """
    here = root / (digest or "") / LOCK
    if digest and here.is_file():
        names = ", ".join(f"{name} {version}" for name, version in pinned(here.read_text()).items())
        return [(True, f"packages beside the code, in {here.parent}: {names or 'none'}.", "")]
    return [
        (
            False,
            f"packages beside the code, in {folder}, are for another image, so that this one does not find them.",
            f"apptainer exec IMAGE packages add -r {folder / REQUESTED}",
        )
        for folder in for_other_images(root, digest)
    ]


def for_other_images(root: Path, digest: str | None) -> list[Path]:
    """The folders of packages below `root` that were solved for other images than the one with this digest."""
    return [p.parent for p in sorted(root.glob(f"*/{LOCK}")) if p.parent.name != digest and p.parent.name[0] != "."]
