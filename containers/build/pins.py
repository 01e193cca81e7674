"""Write down which packages an image has, so that what comes on top leaves them as they are.

Usage: PREFIX/bin/python pins.py SHARED, for the prefix of that Python. SHARED names the packages that the CPU and the
CUDA image both have.

PREFIX/pins then has `constraints.txt`, one `name==version` a line, which the image's pip takes for every install;
`digest`, which names a folder of packages solved for this image; `shared`; and `added.lock`, what layers added.
"""

import hashlib
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

# Who asks for the one is served by the other, which has the same modules; both would be installed over each other.
STAND_INS = {"tensorflow": "tensorflow-cpu", "pygame-ce": "pygame"}
# What a stand-in says its version is, where it is not that of the package that serves.
VERSIONS = {"pygame-ce": "2.5.8"}
HOOK = Path(__file__).with_name("added_packages.py")
DIGEST_LENGTH = 12
PIP = """[global]
constraint = {constraints}
disable-pip-version-check = true
root-user-action = ignore
"""


def normalise(name: str) -> str:
    """The name of a project as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(site: Path) -> dict[str, str]:
    """Every package there, by name, less this project."""
    found = {normalise(d.name): d.version for d in metadata.distributions(path=[str(site)])}
    return {name: version for name, version in sorted(found.items()) if name != "rlsif"}


def stand_in(site: Path, name: str, version: str, serves: str) -> None:
    """Have installers take a package for installed."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    summary = f"{serves} stands in for it in this image."
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\n")
    (folder / "INSTALLER").write_text("rlsif\n")
    (folder / "RECORD").write_text("".join(f"{folder.name}/{part},,\n" for part in ("METADATA", "INSTALLER", "RECORD")))


def digest(shared: str, added: str) -> str:
    """What a folder of packages for this image is named by. Both variants of one checkout have the same."""
    return hashlib.sha256(f"{shared}\n{added}".encode()).hexdigest()[:DIGEST_LENGTH]


def set_up(prefix: Path, shared: str) -> None:
    """What a base image has: stand-ins, pip's configuration, and the hook that finds added packages."""
    site, pins = prefix / "lib/python3.11/site-packages", prefix / "pins"
    pins.mkdir()
    (pins / "shared").write_text(f"{shared}\n")
    (pins / "added.lock").write_text("")
    found = installed(site)
    for name, serves in STAND_INS.items():
        if serves in found and name not in found:
            stand_in(site, name, VERSIONS.get(name, found[serves]), serves)
    shutil.copy(HOOK, site / "_added_packages.py")
    (site / "_added_packages.pth").write_text("import _added_packages\n")
    (prefix / "pip.conf").write_text(PIP.format(constraints=pins / "constraints.txt"))


def main(prefix: Path, added: Path | None = None) -> None:
    """Write down what is installed; `added` is the lock of a layer."""
    pins = prefix / "pins"
    lock = (pins / "added.lock").read_text() + (added.read_text() if added else "")
    (pins / "added.lock").write_text(lock)
    found = installed(prefix / "lib/python3.11/site-packages")
    (pins / "constraints.txt").write_text("".join(f"{name}=={version}\n" for name, version in found.items()))
    (pins / "digest").write_text(digest((pins / "shared").read_text().strip(), lock) + "\n")


if __name__ == "__main__":
    set_up(Path(sys.prefix), sys.argv[1])
    main(Path(sys.prefix))
