"""Find the packages that `packages add` put beside the code, after everything that the image has.

Loaded by a .pth file when Python starts, so it imports nothing. A folder of packages is `.rlsif/DIGEST`, in the working
folder or in any other that modules are imported from; DIGEST is that of this image's pins. RLSIF_PACKAGES names another
folder than `.rlsif`, and is set for the processes that this one starts, wherever they work.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Sequence

VARIABLE = "RLSIF_PACKAGES"
NAME = ".rlsif"
DIGEST = os.path.join(sys.prefix, "pins/digest")


def add(root: str) -> str | None:
    """Append the folder below `root` that is for this image to sys.path, where there is one; give it."""
    if not os.path.isdir(root):
        return None
    with open(DIGEST, encoding="ascii") as file:
        folder = os.path.join(root, file.read().strip())
    if not os.path.isdir(folder):
        return None
    if folder not in sys.path:
        sys.path.append(folder)
    return folder


class AddedFinder:
    """Looks for modules that are found nowhere else beside folders that came to sys.path after the start."""

    def __init__(self) -> None:
        """Begin with the folders of the image, which have none."""
        self._seen = set(sys.path)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module in a folder of packages that was not known before."""
        if path is not None or self._seen.issuperset(sys.path):
            return None
        new = [p for p in sys.path if p not in self._seen]
        self._seen.update(new)
        added = [folder for p in new if (folder := add(os.path.join(p or os.curdir, NAME)))]
        return PathFinder.find_spec(fullname, added) if added else None


def _install() -> None:
    given = os.environ.get(VARIABLE)
    if given:
        add(os.path.abspath(given))
    try:
        here = os.path.join(os.getcwd(), NAME)
    except OSError:
        here = ""
    if add(here):
        os.environ.setdefault(VARIABLE, here)
    sys.meta_path.append(AddedFinder())


if not sys.flags.isolated:
    _install()
