"""Import modules of this prefix from one file, and read shared libraries ahead.

An image is mounted through FUSE, where every file that is looked up, opened and read costs a round
trip: some thirty thousand of them for RLlib with TensorFlow. `bundle.py` puts the bytecode of all
modules into one file; this takes it from there. Every file is still in its place, for tracebacks,
data files and tools. Loaded by a .pth file when Python starts, so it imports next to nothing.

The files count, not the bundle. The image as it was built is sealed: its definition names the bundle's
seal, and nothing in it can have changed; where the definition says that a layer is on top, there can be more modules.
Everywhere else (an image built from this one, a sandbox, an
overlay, whatever lies under a mount) bytecode is taken from the bundle only where the source has the size
and the time that it had, as with Python's own .pyc files. RLSIF_BUNDLE=0 switches the bundle off.
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
# Apptainer writes there what an image was built from.
DEFINITION = "/.singularity.d/Singularity"
# Behind the seal, in the definition of a layer that has left every file below it as it was.
LAYER = "-layer"
# A module: whether it is a package, offset and size of its bytecode, time and size of its source.
Bundled = tuple[bool, int, int, int, int]
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
    """Finds the modules of one folder."""

    def __init__(self, path: str, modules: dict[str, Bundled], others: frozenset[str]) -> None:
        """Take the folder's modules as the bundle has them, and its other importable names."""
        super().__init__(path, *FILE_LOADERS)
        self._modules, self._others = modules, others
        self._changeable = not _sealed or _has_mounts(path, _mounts)

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's spec, without a look at the file system where the bundle has it and it cannot have changed."""
        tail = fullname.rpartition(".")[2]
        if fullname in ("tensorflow", "ray.rllib"):
            _start_reading_ahead()
        if tail not in self._modules:
            looked_for = self._changeable or _layered or tail in self._others
            return super().find_spec(fullname, target) if looked_for else None
        is_package, offset, size, *was = self._modules[tail]
        folder = os.path.join(self.path, tail)
        path = os.path.join(folder, "__init__.py") if is_package else folder + ".py"
        if self._changeable and _time_and_size(path) != was:
            return super().find_spec(fullname, target)
        loader = BundleLoader(fullname, path, _bundle[offset : offset + size])
        return spec_from_file_location(
            fullname, path, loader=loader, submodule_search_locations=[folder] if is_package else None
        )


def _time_and_size(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [int(found.st_mtime), found.st_size]


def _hook(path: str) -> BundleFinder:
    place = _folders.get(path)
    if place is None:
        raise ImportError(f"{path} is not in {BUNDLE}", path=path)
    offset, size = place
    return BundleFinder(path, *marshal.loads(_bundle[offset : offset + size]))


def _has_mounts(folder: str, mounts: list[str]) -> bool:
    """Whether a folder lies under a mount, or has one as its direct child."""
    return any(f"{folder}/".startswith(f"{m}/") or os.path.dirname(m) == folder for m in mounts)


def _mounts_below(prefix: str, mountinfo: str) -> tuple[bool, list[str]]:
    """Whether files can lie over those of the image, and the mount points at or below a prefix.

    An Apptainer that lacks a place to mount on makes an overlay of its own, which has empty folders alone;
    what users give by --overlay or --writable-tmpfs is an upper layer, or a lower one among `overlay-images`.
    """
    covered, mounts = False, []
    for line in mountinfo.splitlines():
        fields, _, filesystem = line.partition(" - ")
        point = fields.split()[4].replace("\\040", " ")
        if point == "/":
            kind, _, options = filesystem.partition(" ")
            covered = "overlay" in kind and ("lowerdir=" not in options or "upperdir=" in options)
            covered = covered or "overlay-images" in options
        elif f"{point}/".startswith(f"{prefix}/") or f"{prefix}/".startswith(f"{point}/"):
            mounts.append(point)
    return covered, mounts


def _look_for_seal(seal: str, definition: str) -> tuple[bool, bool]:
    """Whether the image has all that was bundled as it was, and whether a layer has put more beside it."""
    try:
        with open(definition, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        return False, False
    return bool(seal) and seal in text, f"{seal}{LAYER}" in text


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
_sealed: bool
_layered: bool
_mounts: list[str]


def _install() -> None:
    global _bundle, _folders, _ranges, _sealed, _layered, _mounts
    with open(BUNDLE, "rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    size = int.from_bytes(mapped[:8], "little")
    folders, _ranges, seal = marshal.loads(mapped[8 : 8 + size])
    _folders = {os.path.join(sys.prefix, folder): place for folder, place in folders.items()}
    _bundle = mapped[8 + size :]
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        covered, _mounts = _mounts_below(sys.prefix, file.read())
    _sealed, _layered = _look_for_seal(seal, DEFINITION)
    _sealed = _sealed and not covered
    sys.path_hooks.insert(0, _hook)
    PathFinder.invalidate_caches()
    sys.path_importer_cache.clear()


if os.environ.get("RLSIF_BUNDLE") != "0" and os.path.exists(BUNDLE):
    _install()
