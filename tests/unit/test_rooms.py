"""What a process may import, tried in one that can import nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "entrypoints"
# Imports every module of a package where others cannot be imported.
IMPORT_ALL = """
import importlib, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[2].split(",") or name in sys.argv[2].split(","):
            raise ImportError(f"{name} is not for this room")

sys.meta_path.insert(0, Refuse())
package = importlib.import_module(sys.argv[1])
names = [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
assert names
for name in names:
    importlib.import_module(name)
"""


@pytest.mark.parametrize(
    ("package", "refused"),
    [
        ("rlsif.policies", "ray,tensorflow,gymnasium,yaml,typer,rich,spython,scipy,pandas"),
        ("rlsif.envs", "ray,tensorflow,yaml,typer,rich"),
        ("rlsif.training", "ray,tensorflow"),
        ("rlsif.images", "ray,tensorflow,numpy,gymnasium,yaml"),
    ],
)
def test_a_room_is_imported_where_others_cannot_be(package, refused):
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package, refused],
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
