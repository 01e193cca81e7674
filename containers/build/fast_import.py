"""Import modules of this prefix from one file, and read shared libraries ahead.

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
FILE_LOADERS = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, SOURCE_SUFFIXES))


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
        if fullname in ("tensorflow", "ray.rllib"):
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
    # A process that wants RLlib without TensorFlow says so by a variable of RLlib's. Processes
    # started by one that has read everything find it in the page cache.
    if not _ranges or "RLLIB_TEST_NO_TF_IMPORT" in os.environ or os.environ.get("RL_READ_AHEAD") == "done":
        return
    from threading import Thread

    os.environ["RL_READ_AHEAD"] = "done"
    # The largest have a thread each: while TensorFlow is loaded, Python cannot start another read.
    own = sorted(_ranges, key=lambda r: r[2] - r[1])[-3:]
    rest = [r for r in _ranges if r not in own]
    for part in (*([r] for r in reversed(own)), rest):
        Thread(target=_read_ahead, args=(part,), daemon=True).start()
    _ranges.clear()


def _read_ahead(ranges: list[tuple[str, int, int]]) -> None:
    buffer = bytearray(1 << 20)
    for name, start, end in ranges:
        file = os.open(os.path.join(sys.prefix, name), os.O_RDONLY)
        # One call, without Python's lock, whatever the size: the same buffer is filled again and again.
        os.preadv(file, [buffer] * ((end - start) // len(buffer) + 1), start)
        os.close(file)


_bundle: memoryview
_folders: dict[str, tuple[int, int]]
_ranges: list[tuple[str, int, int]]


def _install() -> None:
    global _bundle, _folders, _ranges
    with open(BUNDLE, "rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    size = int.from_bytes(mapped[:8], "little")
    folders, _ranges = marshal.loads(mapped[8 : 8 + size])
    _folders = {os.path.join(sys.prefix, folder): place for folder, place in folders.items()}
    _bundle = mapped[8 + size :]
    sys.path_hooks.insert(0, _hook)
    PathFinder.invalidate_caches()
    sys.path_importer_cache.clear()


# Where files can change, by an overlay or in a writable sandbox, the bundle would hide it.
if os.path.exists(BUNDLE) and not os.access(BUNDLE, os.W_OK):
    _install()
