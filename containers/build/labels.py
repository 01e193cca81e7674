"""Print the image's labels, a `name value` pair a line: the given ones, then versions as installed.

Usage: labels.py FILE_OF_GIVEN_LABELS
"""

import platform
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


if __name__ == "__main__":
    sys.stdout.write(Path(sys.argv[1]).read_text())
    for name, version in versions().items():
        print(f"rlsif.version.{name} {version}")
