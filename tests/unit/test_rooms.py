"""What a process may import: tried in one that can import nothing else, and read in every import, in functions too."""

import ast
import re
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

# Beside the standard library and the rest of the room itself; the order of the rooms is import-linter's.
MAY_IMPORT = {
    "commands": {"numpy", "rich", "tensorflow", "typer", "rlsif"},
    "sweep": {"ray", "yaml", "rlsif"},
    "runs": {"jinja2", "matplotlib", "numpy", "plotext", "rlsif"},
    "evaluation": {"imageio", "numpy", "rlsif"},
    "learning": {"gymnasium", "numpy", "ray", "tensorflow", "rlsif"},
    "policies": {"numpy"},
    "envs": {"PIL", "cloudpickle", "envpool", "gymnasium", "h5py", "lz4", "numpy", "pettingzoo", "shimmy", "rlsif"},
    "sampling": {"numpy", "ray", "rlsif"},
    "training": {"ray", "rich", "tensorboardX", "rlsif"},
    "roles": {"ray", "rlsif.cluster", "rlsif.errors", "rlsif.private_api", "rlsif.sweep", "rlsif.training"},
    "cluster": {"gymnasium", "ray", "rlsif"},
    "slurm": {"rlsif.cluster.job", "rlsif.errors", "rlsif.files"},
    "images": {"rattler", "spython", "rlsif.errors"},
    "packages": {"rlsif.errors"},
    "doctor": {"rlsif.errors", "rlsif.images", "rlsif.packages", "rlsif.slurm"},
    "private_api": {"ray", "rlsif.errors"},
    "values": {"yaml", "rlsif.errors"},
    "errors": set(),
    "files": set(),
    "host_environment": set(),
}
# What commands import before they know what is typed.
COMMANDS_TOPS = {"typer", "rlsif.errors", "rlsif.host_environment"}
# Ray's parts that import RLlib or TensorFlow, which only learners and env runners have.
NOT_FOR_DRIVERS = ("training", "roles", "cluster")
# Of learning/, what needs neither RLlib nor TensorFlow when it is imported; the rest is for a learner's process.
WITHOUT_RLLIB = [
    "assignment", "catalogue", "descriptor", "finite", "hyperparameters", "judgement", "kinds", "learner",
    "own_network", "rllib_callbacks", "settings", "spec",
]  # fmt: skip


def modules(room):
    """The modules of a room, which is a folder or one file, as syntax trees by path."""
    place = SOURCE / "rlsif" / room
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return {path: ast.parse(path.read_text()) for path in paths}


def outside_functions(node):
    """The parts of a module that are run when it is imported."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(part, ast.If) and "TYPE_CHECKING" in ast.unparse(part.test):
            continue
        yield part
        yield from outside_functions(part)


def imported_by(room, *, at_the_top=False):
    """What a room imports of others, anywhere or when its modules are imported: (file, module)."""
    for path, tree in modules(room).items():
        for node in outside_functions(tree) if at_the_top else ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            yield from ((path.name, name) for name in names if not f"{name}.".startswith(f"rlsif.{room}."))


def others_than(allowed, found):
    """Of what was found by `imported_by`, what is neither allowed nor the standard library's."""
    prefixes = tuple(f"{name}." for name in allowed | sys.stdlib_module_names)
    return [each for each in found if not f"{each[1]}.".startswith(prefixes)]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_what_it_may_and_nothing_else(room):
    found = list(imported_by(room))
    assert others_than(MAY_IMPORT[room], found) == []
    if room in NOT_FOR_DRIVERS:
        assert [each for each in found if each[1].startswith("ray.rllib")] == []


def test_commands_import_nothing_else_before_they_know_what_is_typed():
    assert others_than(COMMANDS_TOPS, imported_by("commands", at_the_top=True)) == []


@pytest.mark.parametrize("room", ["policies", "sampling", "learning", "sweep", "training", "roles", "cluster"])
def test_private_settings_of_rllib_are_spelled_in_private_api_alone(room):
    found = []
    for path, tree in modules(room).items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        ends = {part for call in calls if ast.unparse(call.func).endswith("endswith") for part in call.args}
        texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        found += [(path.name, n.value) for n in texts if n not in ends and re.fullmatch(r"_[a-z]\w*", n.value)]
    assert found == []


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


@pytest.mark.parametrize("room", ["commands", "roles", "sweep", "runs", "evaluation", "training"])
def test_outside_a_learner_what_is_imported_at_the_top_brings_no_rllib(room):
    found = [each for each in imported_by(room, at_the_top=True) if each[1].startswith("rlsif.learning")]
    assert others_than({f"rlsif.learning.{name}" for name in WITHOUT_RLLIB}, found) == []


def test_what_is_imported_outside_a_learner_brings_none():
    code = "import importlib, sys; [importlib.import_module(f'rlsif.learning.{n}') for n in sys.argv[1:]]"
    code += "; print([n for n in ('tensorflow', 'ray.rllib') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *WITHOUT_RLLIB],
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
