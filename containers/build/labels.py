"""Print the image's labels, a `name value` pair a line: the given ones, then versions as installed.

Usage: labels.py FILE_OF_GIVEN_LABELS
"""

import hashlib
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = ["ray", "tensorflow", "tensorflow-cpu", "tf-keras", "gymnasium", "rlsif"]


def versions() -> dict[str, str]:
    """The version of each package of note that is installed; both TensorFlows count as one."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found.setdefault(package.removesuffix("-cpu"), metadata.version(package))
        except metadata.PackageNotFoundError:
            continue
    return found


def debian() -> str:
    """The release of Debian, and a digest of its packages, which no lock holds: `12.12 96 packages 0123456789ab`."""
    listing = subprocess.run(["dpkg-query", "--show"], check=True, capture_output=True, text=True).stdout
    release = Path("/etc/debian_version").read_text().strip()
    return f"{release} {_counted(listing.splitlines())}"


def conda() -> str:
    """A digest of what came from the conda channel, which no lock holds: `1 packages 0123456789ab`."""
    return _counted(sorted(path.stem for path in Path(sys.prefix, "conda-meta").glob("*.json")))


def _counted(lines: list[str]) -> str:
    digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:12]
    return f"{len(lines)} packages {digest}"


if __name__ == "__main__":
    sys.stdout.write(Path(sys.argv[1]).read_text())
    for name, version in versions().items():
        print(f"rlsif.version.{name} {version}")
    print(f"rlsif.debian {debian()}")
    print(f"rlsif.conda {conda()}")
    print(f"rlsif.pins {Path(sys.prefix, 'pins/digest').read_text().strip()}")
