"""`packages add`: packages beside the code, without building an image, found by every process of a run."""

import json
import re

import pytest

from tests.wheels import make_wheel

ENV = """
import gymnasium
from gymnasium.spaces import Box, Discrete
import tinyhelp


class Tiny(gymnasium.Env):
    observation_space, action_space = Box(-1, 1, (2,)), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), tinyhelp.REWARD, False, False, {}


gymnasium.register("Tiny-v0", Tiny, max_episode_steps=10)
"""
SMALL = ("--set", "train_batch_size=200", "--set", "minibatch_size=100", "--set", "num_epochs=1", "--stop-iters", "1")


@pytest.fixture
def wheels(container):
    """A wheelhouse: an environment with a helper, one that wants another NumPy, one with a module of the image's."""
    folder = container.folder / "wheels"
    make_wheel(folder, "tinyenv", "1.2", {"tinyenv.py": ENV}, ("tinyhelp", "numpy", "tensorflow>=2.20"))
    make_wheel(folder, "tinyhelp", "0.5", {"tinyhelp.py": "REWARD = 1.0\n"})
    make_wheel(folder, "oldenv", "1.0", {"oldenv.py": ""}, ("numpy<2",))
    make_wheel(folder, "cuckoo", "1.0", {"rich/__init__.py": "MARK = 1\n", "cuckoo.py": "", "colors.py": ""})
    return folder


def add(container, *arguments, **more):
    return container("packages", "add", *arguments, "--wheelhouse", "wheels", **more)


def test_an_environment_is_added_and_trained_by_every_process(container, wheels):
    """Installs packages, and trains in processes of their own."""
    done = add(container, "tinyenv")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"tinyenv 1\.2 with 1 other, in \S+ folder/\.rlsif/[0-9a-f]{12}\n", done.stdout)
    [lock] = container.folder.glob(".rlsif/*/requirements.lock")
    assert re.findall(r"(?m)^(\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", lock.read_text()) == [
        "tinyenv==1.2",
        "tinyhelp==0.5",
    ]
    done = container.train("--env", "tinyenv:Tiny-v0", *SMALL, "--num-env-runners", "1")
    assert done.returncode == 0, done.stderr
    assert "return 10" in done.stdout or "10.0" in done.stdout
    assert "ok       packages beside the code, in .rlsif/" in container("check", "tinyenv:Tiny-v0").stdout
    said = container("packages", "list").stdout
    assert re.search(r"(?m)^tinyenv +1\.2$", said) and f"beside the code: {lock.parent}" in said


def test_what_was_added_is_found_from_a_folder_of_code(container, wheels):
    """The way of a process of Ray, which works elsewhere and has the code's folder put on its path."""
    add(container, "tinyenv")
    code = f"import os, sys; sys.path.append({str(container.folder)!r}); import tinyenv; print(os.getcwd())"
    assert container("sh", "-c", 'cd / && python -c "$CODE"', env={"CODE": code}).stdout == "/\n"
    assert container("sh", "-c", "cd / && python -c 'import tinyenv'").returncode != 0
    inherited = "import os; os.chdir('/'); os.execlp('python', 'python', '-c', 'import tinyenv; print(tinyenv)')"
    assert "tinyenv.py" in container("python", "-c", inherited).stdout


def test_another_folder_for_them(container, wheels):
    done = add(container, "tinyhelp", "--to", "elsewhere")
    assert f"RLSIF_PACKAGES={container.folder}/elsewhere" in done.stdout
    code = ("python", "-c", "import tinyhelp; print(tinyhelp.REWARD)")
    assert container(*code).returncode != 0
    assert container(*code, env={"RLSIF_PACKAGES": str(container.folder / "elsewhere")}).stdout == "1.0\n"


def test_nothing_of_the_image_is_hidden(container, wheels):
    add(container, "cuckoo")
    done = container("python", "-c", "import cuckoo, rich; print(hasattr(rich, 'MARK'))")
    assert done.stdout == "False\n", done.stderr


def test_more_is_added_and_before_is_kept(container, wheels):
    add(container, "tinyhelp")
    done = add(container, "cuckoo")
    assert done.stdout.startswith("cuckoo 1.0 with 1 other, in ")
    assert container("python", "-c", "import tinyhelp, cuckoo").returncode == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("oldenv", r"error: oldenv 1\.0 wants numpy<2, but this image has numpy 2\.\S+, which stays as it is; .*\n"),
        (
            "numpy==1.26.4",
            r"error: numpy==1\.26\.4 is asked for, but this image has numpy 2\.\S+, which stays as it is; .*\n",
        ),
        ("nowhere", r"error: there is no nowhere in wheels for Python 3\.11 on x86-64 Linux\n"),
    ],
)
def test_what_cannot_be_added_is_told_in_one_sentence(container, wheels, name, said):
    done = add(container, name)
    assert done.returncode == 2 and re.fullmatch(said, done.stderr), done.stderr
    assert not list(container.folder.glob(".rlsif/*/"))


def test_what_a_run_had_is_noted_for_another_image(container, wheels):
    add(container, "tinyenv")
    code = "from rlsif import packages; import json; print(json.dumps(packages.installed_packages()))"
    noted = container("python", "-c", code).stdout
    assert json.loads(noted) == {"tinyenv": "1.2", "tinyhelp": "0.5"}
    code = f"from rlsif import packages; print(*packages.lacking({json.loads(noted)}))"
    assert (
        "tinyenv 1.2, which is missing here"
        in container("sh", "-c", 'cd / && python -c "$CODE"', env={"CODE": code}).stdout
    )
