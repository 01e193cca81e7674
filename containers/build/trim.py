"""Take out of a prefix what a run never reads.

Usage: trim.py PREFIX. Prints what each step saved, in MB. Not to be run by the prefix's own
Python, whose libraries it rewrites.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterable

# Relative to site-packages. Each is for compiling against the package, for its own
# tests, or for a part of it that this image has no use for.
FOLDERS = [
    "tensorflow/include",
    "tensorflow/**/*_test",
    "tensorflow/xla_aot_runtime_src",
    "tensorflow/lite/python/examples",
    "pyarrow/include",
    "pyarrow/src",
    "pyarrow/tests",
    "numpy/_core/include",
    "ray/jars",
    "ray/cpp",
    "ray/include",
    "ray/autoscaler/*/",
    "ray/dashboard/client/node_modules",
    "ray/rllib/examples",
    "ray/rllib/tuned_examples",
    "ray/rllib/benchmarks",
    "ray/tune/examples",
    "pandas/tests",
    "numpy/**/tests",
    "scipy/**/tests",
    "matplotlib/tests",
    "ray/**/tests",
    "ray/**/tests_",
    "pygame/examples",
    "pygame/docs",
    "pygame/tests",
    "sklearn/**/tests",
    "mpl_toolkits/*/tests",
    "h5py/tests",
    "tensorflow_probability/substrates",
    "clang",
]
KEPT = {"ray/autoscaler/_private", "ray/autoscaler/v2", "ray/autoscaler/local", "ray/autoscaler/aws"}
FILES = [
    "**/*.a",
    "**/*.pyi",
    "**/*.pxd",
    "**/*.pyx",
    "**/*.h",
    "**/*.hpp",
    "**/*.c",
    "**/*.cc",
    "**/*.cpp",
    "**/*.js.map",
    "pyarrow/libarrow_flight*.so.*",
    "pyarrow/_flight*.so",
]


def megabytes(path: Path) -> float:
    """The size of a file or folder on disk."""
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size / 1e6
    return sum(p.lstat().st_size for p in path.rglob("*") if not p.is_dir()) / 1e6


def remove(paths: Iterable[Path]) -> float:
    """Delete files and folders; give the megabytes that they took."""
    saved = 0.0
    for path in paths:
        if not path.exists():
            continue
        saved += megabytes(path)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return saved


def strip(site: Path) -> float:
    """Take the symbol tables out of the largest libraries, TensorFlow's and Ray's; give the megabytes saved.

    Not out of every library: those that a wheel brings along were moved about in their files
    by the wheel's maker, and strip breaks such a file.
    """
    binaries = [p for name in ("tensorflow", "ray") for p in (site / name).rglob("*") if p.is_file() and _is_elf(p)]
    before = sum(map(megabytes, binaries))
    for binary in binaries:
        binary.chmod(binary.stat().st_mode | 0o200)
        subprocess.run(["strip", "--strip-unneeded", binary], check=False, capture_output=True)
    return before - sum(map(megabytes, binaries))


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return not path.is_symlink() and file.read(4) == b"\x7fELF"


def main(prefix: Path) -> None:
    """Trim the prefix."""
    site = prefix / "lib/python3.11/site-packages"
    folders = [
        f
        for pattern in FOLDERS
        for f in site.glob(pattern)
        if f.is_dir() and f.relative_to(site).as_posix() not in KEPT
    ]
    files = [f for pattern in FILES for f in site.glob(pattern)]
    print(f"trim: {remove(folders):.0f} MB of headers, tests and examples")
    print(f"trim: {remove(files):.0f} MB of sources and static libraries")
    print(f"trim: {remove(prefix.rglob('__pycache__')):.0f} MB of old bytecode")
    print(f"trim: {strip(site):.0f} MB of symbols")
    left = sum(1 for p in prefix.rglob("*") if not p.is_dir())
    print(f"trim: {megabytes(prefix):.0f} MB in {left} files are left")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
