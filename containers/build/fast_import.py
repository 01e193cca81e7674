"""Import modules of this prefix from one file, and read TensorFlow's libraries ahead.

An image is mounted through FUSE, where every file that is looked up, opened and read costs a round
trip: some thirty thousand of them for RLlib with TensorFlow. `bundle.py` puts the bytecode of all
modules into one file; this takes it from there. Every file is still in its place, for tracebacks,
data files and tools. Loaded by a .pth file when Python starts, so it imports next to nothing.
"""

from __future__ import annotations

import marshal
import mmap
import os
import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType

BUNDLE = os.path.join(sys.prefix, "lib/modules.bundle")
SITE = os.path.dirname(os.path.abspath(__file__))
FILE_LOADERS = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, SOURCE_SUFFIXES))
# The parts that the loader reads of TensorFlow's libraries, in bytes: the dynamic symbols and
# relocations at the start of the one, nearly all of the other.
READ_AHEAD = {"tensorflow/libtensorflow_framework.so.2": 1 << 30, "tensorflow/libtensorflow_cc.so.2": 116 << 20}


class BundleLoader(SourceFileLoader):
    """Loads a module whose bytecode is in the bundle; all but the bytecode is its file's."""

    def __init__(self, name: str, path: str, bytecode: memoryview) -> None:
        """Keep the bytecode's place in the mapped bundle."""
        super().__init__(name, path)
        self._bytecode = bytecode

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code object."""
        code: CodeType = marshal.loads(self._bytecode)
        return code


class BundleFinder(FileFinder):
    """Finds the modules of one folder, whose content is known and does not change."""

    def __init__(self, path: str, modules: dict[str, tuple[bool, int, int]], others: frozenset[str]) -> None:
        """Take the folder's modules, as (is a package, offset, size) in the bundle, and its other importable names."""
        super().__init__(path, *FILE_LOADERS)
        self._modules, self._others = modules, others

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's spec, without a look at the file system where the bundle has it."""
        tail = fullname.rpartition(".")[2]
        if tail == "tensorflow" and self.path == SITE:
            _start_reading_ahead()
        if tail not in self._modules:
            return super().find_spec(fullname, target) if tail in self._others else None
        is_package, offset, size = self._modules[tail]
        folder = os.path.join(self.path, tail)
        path = os.path.join(folder, "__init__.py") if is_package else folder + ".py"
        loader = BundleLoader(fullname, path, _bundle[offset : offset + size])
        return spec_from_file_location(
            fullname, path, loader=loader, submodule_search_locations=[folder] if is_package else None
        )


def _hook(path: str) -> BundleFinder:
    place = _folders.get(path)
    if place is None:
        raise ImportError(f"{path} is not in {BUNDLE}", path=path)
    offset, size = place
    return BundleFinder(path, *marshal.loads(_bundle[offset : offset + size]))


def _start_reading_ahead() -> None:
    from threading import Thread

    for name, size in READ_AHEAD.items():
        Thread(target=_read, args=(os.path.join(SITE, name), size), daemon=True).start()


def _read(path: str, size: int) -> None:
    step = 1 << 20
    buffer = bytearray(step)
    with open(path, "rb", buffering=0) as file:
        while size > 0 and (read := file.readinto(buffer)):
            size -= read


_bundle: memoryview
_folders: dict[str, tuple[int, int]]


def _install() -> None:
    global _bundle, _folders
    with open(BUNDLE, "rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    size = int.from_bytes(mapped[:8], "little")
    _bundle = mapped[8 + size :]
    _folders = {
        os.path.join(sys.prefix, folder): place for folder, place in marshal.loads(mapped[8 : 8 + size]).items()
    }
    sys.path_hooks.insert(0, _hook)
    PathFinder.invalidate_caches()
    sys.path_importer_cache.clear()


# Where files can change, by an overlay or in a writable sandbox, the bundle would hide it.
if os.path.exists(BUNDLE) and not os.access(BUNDLE, os.W_OK):
    _install()
