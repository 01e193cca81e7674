"""Put the bytecode of all modules of a prefix into one file, for fast_import.py.

Usage: PREFIX/bin/python bundle.py, which bundles its own prefix.

The file: 8 bytes with the size of the index; the index, a marshalled mapping of folders, relative to
the prefix, to (offset, size) of their entries; then bytecode and entries. An entry is marshalled, too:
({module: (is a package, offset, size)}, names that are importable in another way). Offsets count from
the end of the index.
"""

import marshal
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

# Small, and bound over from a checkout by those who work on it.
LEFT_OUT = {"rlsif"}
FAST_IMPORT = Path(__file__).with_name("fast_import.py")


def folders(root: Path) -> Iterator[Path]:
    """The folders that modules are imported from."""
    yield root
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name.isidentifier() and path.name != "__pycache__" and path.name not in LEFT_OUT:
            yield from folders(path)


def compiled(source: Path) -> bytes | None:
    """The marshalled code of a module, or nothing for a file that is no Python of this version."""
    try:
        return marshal.dumps(compile(source.read_bytes(), str(source), "exec", dont_inherit=True))
    except (SyntaxError, ValueError):
        return None


def main(prefix: Path) -> None:
    """Write lib/modules.bundle and have it used."""
    library = prefix / "lib/python3.11"
    site = library / "site-packages"
    payload: list[bytes] = []
    index: dict[str, tuple[int, int]] = {}
    position = 0

    def add(data: bytes) -> tuple[int, int]:
        nonlocal position
        payload.append(data)
        position += len(data)
        return position - len(data), len(data)

    for folder in [*folders(library), *folders(site)]:
        modules, others = {}, set()
        for path in folder.iterdir():
            is_package = (path / "__init__.py").is_file()
            source = path / "__init__.py" if is_package else path
            name = path.name if path.is_dir() else path.name.split(".")[0]
            code = compiled(source) if source.suffix == ".py" and name not in LEFT_OUT else None
            if code is not None and (is_package or path.suffix == ".py"):
                modules[name] = (is_package, *add(code))
            elif path.suffix in (".py", ".so") or path.is_dir():
                others.add(name)
        # An extension goes before a module of its name, and so does a package.
        for name in list(modules):
            if name in others and any(folder.glob(f"{name}.*.so")):
                del modules[name]
        index[str(folder.relative_to(prefix))] = add(marshal.dumps((modules, frozenset(others))))
    head = marshal.dumps(index)
    (prefix / "lib/modules.bundle").write_bytes(b"".join([len(head).to_bytes(8, "little"), head, *payload]))
    shutil.copy(FAST_IMPORT, site / "_fast_import.py")
    (site / "_fast_import.pth").write_text("import _fast_import\n")
    print(f"bundle: {len(index)} folders, {position / 1e6:.0f} MB of bytecode")


if __name__ == "__main__":
    main(Path(sys.prefix))
