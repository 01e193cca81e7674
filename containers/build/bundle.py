"""Put the bytecode of all modules of a prefix into one file, for fast_import.py.

Usage: PREFIX/bin/python bundle.py SEAL, which bundles its own prefix. SEAL is a word of the definition that
the image is built from: as long as the image's definition has it, fast_import.py takes every module for
unchanged. To be run where the files have their final places and times.

The file: 8 bytes with the size of the index; the index, marshalled; then bytecode and entries.
The index is (folders, ranges, seal). Folders, relative to the prefix, have the (offset, size) of their
entry, counted from the end of the index. An entry is marshalled, too: ({module: (is a package, offset,
size, time of the source in seconds, its size)}, names that are importable in another way). Ranges are what
importing RLlib with TensorFlow touches most of files: (path relative to the prefix, start, end) in bytes,
in the order of loading. The modules that it imports have their bytecode first, in the order of importing.
"""

import compileall
import json
import marshal
import os
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Small, and bound over from a checkout by those who work on it.
LEFT_OUT = "rlsif"
FAST_IMPORT = Path(__file__).with_name("fast_import.py")
PAGE = os.sysconf("SC_PAGE_SIZE")
# Pages nearer than this belong to one range: reading on is cheaper than starting anew.
GAP = 256
# Libraries of which less is touched are not worth a thread's time, in bytes.
WORTHWHILE = 2_000_000


def folders(root: Path) -> Iterator[Path]:
    """The folders that modules are imported from."""
    yield root
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name.isidentifier() and path.name != "__pycache__" and path.name != LEFT_OUT:
            yield from folders(path)


def compiled(source: Path) -> bytes | None:
    """The marshalled code of a module, or nothing for a file that is no Python of this version."""
    try:
        return marshal.dumps(compile(source.read_bytes(), str(source), "exec", dont_inherit=True))
    except (SyntaxError, ValueError):
        return None


def all_compiled(sources: list[Path]) -> dict[Path, bytes]:
    """The code of all modules that are Python of this version, by a process a core."""
    cores = len(os.sched_getaffinity(0))

    def share(number: int) -> dict[str, bytes]:
        # Not by multiprocessing, whose locks want a /dev/shm that a build may not have.
        command, paths = [sys.executable, __file__, "compile"], "\0".join(map(str, sources[number::cores]))
        done = subprocess.run(command, input=paths.encode(), stdout=subprocess.PIPE, check=True)
        code: dict[str, bytes] = marshal.loads(done.stdout)
        return code

    with ThreadPoolExecutor(cores) as pool:
        return {Path(path): code for found in pool.map(share, range(cores)) for path, code in found.items()}


def compile_share() -> None:
    """Read the paths of modules, and write the code of those that are Python of this version."""
    codes = ((path, compiled(Path(path))) for path in sys.stdin.read().split("\0") if path)
    marshal.dump({path: code for path, code in codes if code is not None}, sys.stdout.buffer)


def contents(folder: Path) -> tuple[dict[str, Path], set[str]]:
    """The modules of a folder by name, and the other names that are importable from it."""
    modules, others = {}, set()
    for path in folder.iterdir():
        name = path.name.split(".")[0]
        if (path / "__init__.py").is_file() and name != LEFT_OUT:
            modules[name] = path / "__init__.py"
        elif path.suffix == ".py":
            modules.setdefault(name, path)
        elif path.suffix == ".so" or path.is_dir():
            others.add(name)
    # An extension goes before a module of its name.
    extensions = {p.name.split(".")[0] for p in folder.glob("*.so")}
    return {n: p for n, p in modules.items() if n not in extensions}, others


def used(prefix: Path) -> dict[str, Any]:
    """What importing RLlib with TensorFlow uses, as `observe` tells it."""
    command = [str(prefix / "bin/python"), __file__, "observe"]
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    return told


def observe(prefix: Path) -> None:
    """Import RLlib and TensorFlow, and print what that used: `modules`, `ranges`."""
    import tensorflow  # noqa: F401
    from ray.rllib.algorithms.ppo import PPO  # noqa: F401

    modules = [m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)]
    print(json.dumps({"modules": modules, "ranges": touched(prefix)}))


def touched(prefix: Path) -> list[tuple[str, int, int]]:
    """The largest range of each of the prefix's shared libraries that this process has touched."""
    pages: dict[str, set[int]] = {}
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        # Later libraries are mapped below earlier ones.
        for line in reversed(Path("/proc/self/maps").read_text().splitlines()):
            addresses, _, offset, _, _, *path = line.split(maxsplit=5)
            if not path or not path[0].startswith(f"{prefix}/") or ".so" not in path[0]:
                continue
            start, end = (int(a, 16) for a in addresses.split("-"))
            pagemap.seek(start // PAGE * 8)
            entries = pagemap.read((end - start) // PAGE * 8)
            # Bit 63 of an entry: the page is there.
            present = {i for i in range(len(entries) // 8) if entries[i * 8 + 7] & 0x80}
            first = int(offset, 16) // PAGE
            pages.setdefault(path[0], set()).update(first + i for i in present)
    ranges = [(str(Path(p).relative_to(prefix)), *largest_range(sorted(found))) for p, found in pages.items() if found]
    return [r for r in ranges if r[2] - r[1] >= WORTHWHILE]


def largest_range(pages: list[int]) -> tuple[int, int]:
    """The longest run of these pages, small gaps included, in bytes."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page - runs[-1][1] <= GAP:
            runs[-1][1] = page + 1
        else:
            runs.append([page, page + 1])
    start, end = max(runs, key=lambda run: run[1] - run[0])
    return start * PAGE, end * PAGE


def compile_the_rest(library: Path) -> None:
    """Compile what is imported before the bundle is there, or beside it."""
    site = library / "site-packages"
    for hook in site.glob("_*.pth"):
        compileall.compile_file(
            hook.with_suffix(".py"), quiet=2, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP
        )
    for folder in (library, site / LEFT_OUT):
        compileall.compile_dir(
            folder,
            quiet=2,
            rx=re.compile("site-packages/(?!rlsif)"),
            invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP,
        )


def described(path: Path, place: tuple[int, int]) -> tuple[bool, int, int, int, int]:
    """What the index says of a module."""
    found = path.stat()
    return path.name == "__init__.py", *place, int(found.st_mtime), found.st_size


def main(prefix: Path, seal: str) -> None:
    """Write lib/modules.bundle and have it used."""
    library = prefix / "lib/python3.11"
    site = library / "site-packages"
    shutil.copy(FAST_IMPORT, site / "_fast_import.py")
    found = {folder: contents(folder) for folder in (*folders(library), *folders(site))}
    use = used(prefix)
    sources = {path for modules, _ in found.values() for path in modules.values()}
    first = [p for p in map(Path, use["modules"]) if p in sources]
    payload: list[bytes] = []
    end = 0

    def add(data: bytes) -> tuple[int, int]:
        nonlocal end
        payload.append(data)
        end += len(data)
        return end - len(data), len(data)

    codes = all_compiled(sorted(sources))
    places = {p: add(codes[p]) for p in dict.fromkeys([*first, *sorted(sources)]) if p in codes}
    hot = sum(places[p][1] for p in dict.fromkeys(first) if p in places)
    index = {}
    for folder, (modules, others) in found.items():
        entry = {name: described(path, places[path]) for name, path in modules.items() if path in places}
        index[str(folder.relative_to(prefix))] = add(marshal.dumps((entry, frozenset(others))))
    ranges = [("lib/modules.bundle", 0, hot), *use["ranges"]]
    (site / "_fast_import.pth").write_text("import _fast_import\n")
    head = marshal.dumps((index, ranges, seal))
    (prefix / "lib/modules.bundle").write_bytes(b"".join([len(head).to_bytes(8, "little"), head, *payload]))
    compile_the_rest(library)
    print(f"bundle: {len(places)} modules, {end / 1e6:.0f} MB, {hot / 1e6:.0f} MB of it for RLlib with TensorFlow")
    print(f"bundle: {sum(b - a for _, a, b in ranges) / 1e6:.0f} MB to read ahead")


if __name__ == "__main__":
    if sys.argv[1] == "observe":
        observe(Path(sys.prefix))
    elif sys.argv[1] == "compile":
        compile_share()
    else:
        main(Path(sys.prefix), sys.argv[1])
