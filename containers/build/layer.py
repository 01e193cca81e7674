"""Check that a layer left the image's own packages as they were, and write down what it added.

Runs in the image's Python. Exits with a sentence where a package has overwritten files of another.
"""

import sys
from importlib import metadata
from pathlib import Path

from pins import STAND_INS, installed, main, normalise


def constraints(pins: Path) -> dict[str, str]:
    """The versions that the image had before."""
    lines = (pins / "constraints.txt").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines)


def overwritten(site: Path, new: set[str]) -> list[str]:
    """A sentence for each new package that has a file of an old one."""
    files: dict[str, str] = {}
    distributions = sorted(metadata.distributions(path=[str(site)]), key=lambda d: normalise(d.name) in new)
    told = {}
    for distribution in distributions:
        name = normalise(distribution.name)
        if name in STAND_INS and name not in new:
            continue
        for file in map(str, distribution.files or []):
            owner = files.setdefault(file, name)
            if owner != name and name in new and not file.endswith((".pyc", "/")) and ".." not in file:
                told[name, owner] = (
                    f"{name} {distribution.version} has overwritten {file} of {owner}, which the image has"
                )
    return list(told.values())


def problems(before: dict[str, str], after: dict[str, str], site: Path) -> list[str]:
    """What is not as it was."""
    changed = [f"{n} {v} was in the image, now it is {after.get(n)}" for n, v in before.items() if after.get(n) != v]
    return changed + overwritten(site, after.keys() - before.keys())


if __name__ == "__main__":
    prefix = Path(sys.prefix)
    packages = prefix / "lib/python3.11/site-packages"
    before, after = constraints(prefix / "pins"), installed(packages)
    found = problems(before, after, packages)
    if found:
        sys.exit(f"error: {'; '.join(found)}")
    added = Path("/build/added.lock")
    added.write_text("".join(f"{name}=={version}\n" for name, version in after.items() if name not in before))
    main(prefix, added=added)
