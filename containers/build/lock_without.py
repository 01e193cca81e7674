"""Print a hashed lock file less the packages for which a wheel of one's own is given.

Usage: lock_without.py LOCK WHEEL_FOLDER
"""

import re
import sys
from pathlib import Path

# One build of TensorFlow stands in for every other.
ALTERNATIVES = {"tensorflow": {"tensorflow", "tensorflow-cpu"}}


def normalise(name: str) -> str:
    """The name of a project as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def replaced(wheels: Path) -> set[str]:
    """The locked names that the wheels in this folder stand in for."""
    names: set[str] = set()
    for wheel in wheels.glob("*.whl"):
        name = normalise(wheel.name.split("-")[0])
        family = next((a for a in ALTERNATIVES.values() if name in a), {name})
        names |= family
    return names


def without(lock: str, names: set[str]) -> str:
    """The lock's text less the entries of these packages, their hashes included."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock)
    kept = [e for e in entries if normalise(re.split(r"[\[=\s]", e, maxsplit=1)[0]) not in names]
    return "".join(kept)


if __name__ == "__main__":
    sys.stdout.write(without(Path(sys.argv[1]).read_text(), replaced(Path(sys.argv[2]))))
