"""Pack an installed CPython as a conda package, with the libraries that it needs.

Usage: python_package.py PREFIX FOLDER. Prints the package's path. `patchelf` must be on PATH.
The format is conda's first one: https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

# Parts of the standard library that need a display or exist for CPython's own tests.
LEFT_OUT = {"test", "tests", "idlelib", "idle_test", "tkinter", "turtledemo", "lib2to3", "site-packages", "__pycache__"}
LEFT_OUT_MODULES = re.compile(r"^(_tkinter|nis|_test\w*|_ctypes_test|xxlimited\w*|_xx\w*)\.cpython")
# The base image has the C library and the compiler's run time; nothing may shadow them.
OF_THE_BASE = re.compile(r"^(ld-linux|lib(c|m|dl|rt|pthread|util|resolv|nsl|stdc\+\+|gcc_s))[.\-]")


def version_of(prefix: Path) -> str:
    """The full version of the CPython installed there."""
    python = prefix / "bin/python3.11"
    code = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def copy_interpreter(prefix: Path, root: Path) -> None:
    """Copy the interpreter, its library, headers and standard library to the package's root."""
    (root / "bin").mkdir(parents=True)
    shutil.copy2(prefix / "bin/python3.11", root / "bin/python3.11")
    for name in ("python3", "python"):
        (root / "bin" / name).symlink_to("python3.11")

    def ignore(folder: str, names: list[str]) -> set[str]:
        return {n for n in names if n in LEFT_OUT or LEFT_OUT_MODULES.match(n) or n.endswith(".a")}

    shutil.copytree(prefix / "lib/python3.11", root / "lib/python3.11", ignore=ignore)
    shutil.copytree(prefix / "include/python3.11", root / "include/python3.11")
    (root / "lib/python3.11/site-packages").mkdir()
    for library in (prefix / "lib").glob("libpython3*.so*"):
        shutil.copy2(library, root / "lib" / library.name, follow_symlinks=False)


def needed_libraries(prefix: Path) -> set[Path]:
    """The shared libraries outside the prefix that its extension modules load."""
    found: set[Path] = set()
    modules = [m for m in (prefix / "lib/python3.11/lib-dynload").glob("*.so") if not LEFT_OUT_MODULES.match(m.name)]
    for binary in [prefix / "bin/python3.11", *modules]:
        listing = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", listing, flags=re.M):
            if not OF_THE_BASE.match(name) and not Path(path).is_relative_to(prefix):
                found.add(Path(path))
    return found


def relocate(root: Path) -> None:
    """Let every binary find its libraries relative to itself."""
    paths = [(root / "bin/python3.11", "$ORIGIN/../lib")]
    paths += [(m, "$ORIGIN/../..") for m in (root / "lib/python3.11/lib-dynload").glob("*.so")]
    paths += [(lib, "$ORIGIN") for lib in (root / "lib").glob("*.so*") if not lib.is_symlink()]
    for binary, run_path in paths:
        subprocess.run(["patchelf", "--set-rpath", run_path, binary], check=True)


def entry(path: Path, root: Path, placeholder: bytes) -> dict[str, Any]:
    """What info/paths.json says of one file; a file that names the old prefix is marked so."""
    item: dict[str, Any] = {
        "_path": path.relative_to(root).as_posix(),
        "path_type": "softlink" if path.is_symlink() else "hardlink",
    }
    if path.is_symlink():
        return item
    content = path.read_bytes()
    item["sha256"] = hashlib.sha256(content).hexdigest()
    item["size_in_bytes"] = len(content)
    # A binary must not be edited: the linker lets other strings share the tail of the prefix,
    # the version for one. CPython finds its prefix from where its program lies.
    if placeholder in content and b"\0" not in content:
        item.update(prefix_placeholder=placeholder.decode(), file_mode="text")
    return item


def write_info(root: Path, version: str, placeholder: Path) -> None:
    """Write info/index.json and info/paths.json."""
    files = sorted(p for p in root.rglob("*") if p.is_symlink() or p.is_file())
    paths = [entry(p, root, str(placeholder).encode()) for p in files]
    info = root / "info"
    info.mkdir()
    (info / "paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}, indent=1))
    index = {
        "name": "python",
        "version": version,
        "build": "0_rlsif",
        "build_number": 0,
        "depends": ["__glibc >=2.31"],
        "subdir": "linux-64",
        "platform": "linux",
        "arch": "x86_64",
        "license": "Python-2.0",
        "timestamp": 0,
    }
    (info / "index.json").write_text(json.dumps(index, indent=1))


def pack(prefix: Path, folder: Path) -> Path:
    """Write python-<version>-0_rlsif.tar.bz2 into the folder and return its path."""
    version = version_of(prefix)
    package = folder / f"python-{version}-0_rlsif.tar.bz2"
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        root = Path(temporary)
        copy_interpreter(prefix, root)
        for library in needed_libraries(prefix):
            shutil.copy2(library, root / "lib" / library.name)
        relocate(root)
        write_info(root, version, prefix)
        with tarfile.open(package, "w:bz2", compresslevel=1) as tar:
            for name in ("info", "bin", "lib", "include"):
                tar.add(root / name, arcname=name)
    return package


if __name__ == "__main__":
    print(pack(Path(sys.argv[1]).resolve(), Path(sys.argv[2])))
