"""Images with packages of a user's own: by `make image-cpu REQUIREMENTS=...`, by extras, by a definition file."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from rlsif.images.apptainer import build_options, find
from tests import network
from tests.wheels import make_wheel

CHECKOUT = Path(__file__).parents[2]
EXTRAS = CHECKOUT / "containers/requirements/extras"
SECONDS = 600


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A wheelhouse: an environment with a helper, one that wants another NumPy, one with a module of the image's."""
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "tinyhelp", "0.5", {"tinyhelp.py": "REWARD = 1.0\n"})
    make_wheel(
        folder, "tinyenv", "1.2", {"tinyenv.py": "import tinyhelp, numpy\n"}, ("tinyhelp", "numpy", "tensorflow")
    )
    make_wheel(folder, "oldenv", "1.0", {"oldenv.py": ""}, ("numpy<2",))
    make_wheel(folder, "cuckoo", "1.0", {"rich/__init__.py": "MARK = 1\n"})
    return folder


def make_image(name, wheels, environment=None, **variables):
    """Build an image of this checkout; gives what make said."""
    arguments = [f"{key}={value}" for key, value in {"NAME": name, "WHEELHOUSE": wheels, **variables}.items()]
    done = subprocess.run(
        ["make", "--silent", "image-cpu", *arguments],
        cwd=CHECKOUT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip
    print(done.stdout + done.stderr)
    return done


def remove(name):
    for path in CHECKOUT.glob(f"{name}.*"):
        path.unlink()


def asked(folder, *names):
    file = folder / "requirements.txt"
    file.write_text("".join(f"{name}\n" for name in names))
    return file


@pytest.fixture(scope="module")
def layer(rl_sif, wheels, tmp_path_factory):
    """An image with all that a user can add, for one takes a minute to unpack and pack; and how it was asked for.

    Of the conda channels, one is a folder; the other is behind a proxy that only an authority of the site's own
    vouches for.
    """
    from rattler.index import index_fs

    from tests.image.test_image import make_package

    folder = tmp_path_factory.mktemp("layer")
    for channel, name in (("near", "greeting"), ("far", "farewell")):
        make_package(folder / channel, name, {f"share/{name}": f"{name}\n"})
    asyncio.run(index_fs(folder / "far"))
    channels = f"{(folder / 'near').as_uri()}, 'https://{network.CHANNEL}'"
    (folder / "environment.yml").write_text(f"channels: [{channels}]\ndependencies: [greeting, farewell]\n")
    given = {"REQUIREMENTS": asked(folder, "tinyenv"), "APT": "tree", "EXTRAS": "mujoco,minigrid,atari"}
    given["ENVIRONMENT"] = folder / "environment.yml"
    with network.proxy(folder, {network.CHANNEL: folder / "far"}) as proxy:
        done = make_image("of-a-layer", wheels, proxy.variables, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    yield CHECKOUT / "of-a-layer.sif", given
    remove("of-a-layer")


@pytest.fixture
def layered(container, layer):
    container.image = layer[0]
    return container


@pytest.mark.long
def test_requirements_make_a_layer_with_a_lock(layered, layer, wheels, images):
    """The first of those that wait until the image of a module's tests is unpacked, and packed with a layer."""
    image, given = layer
    lock = given["REQUIREMENTS"].with_name("requirements.txt.lock").read_text()
    assert re.findall(r"(?m)^(\S+==\S+) \\\n    --hash=sha256:", lock) == ["tinyenv==1.2", "tinyhelp==0.5"]
    code = "import json, tinyenv, rich; from rlsif.packages import installed_packages as p; "
    said = layered("python", "-c", f"{code}print(json.dumps([p(), str(rich.__loader__)]))").stdout
    packages, loader = json.loads(said)
    assert (packages["tinyenv"], packages["tinyhelp"]) == ("1.2", "0.5") and "BundleLoader" in loader
    locks = "".join((EXTRAS / f"{extra}.lock").read_text() for extra in given["EXTRAS"].split(","))
    assert packages.keys() - {"tinyenv", "tinyhelp"} <= set(re.findall(r"(?m)^([\w.-]+)==", locks))
    assert layered("tree", "--version").returncode == 0
    labels = images.labels(image)
    assert labels["rlsif.packages.added"] == "requirements.txt; environment.yml; tree (Debian)"
    assert f"{image.name} is up to date" in make_image("of-a-layer", wheels, **given).stdout


def test_conda_packages_from_channels(layered):
    assert layered("sh", "-c", "cat /opt/rl/share/*ing /opt/rl/share/*well").stdout == "greeting\nfarewell\n"


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "minigrid:MiniGrid-Empty-5x5-v0", "ale_py:ALE/Pong-v5"])
def test_several_extras_at_once(layered, name):
    code = f"import gymnasium; env = gymnasium.make({name!r}, render_mode='rgb_array'); env.reset(seed=0); "
    done = layered("python", "-c", f"{code}print(env.render().std() > 1)")
    assert done.stdout.splitlines()[-1:] == ["True"], done.stderr


def test_an_environment_of_an_extra_is_trained_and_recorded(layered):
    small = ("--set", "train_batch_size=1000", "--set", "num_epochs=1", "--stop-iters", "1", "--local-mode")
    short = ("--env", "HalfCheetah-v5", "--env-config", "max_episode_steps=20")
    assert layered.train(*short, *small).returncode == 0
    # Mesa draws by another LLVM than TensorFlow's, so not in the process of the agent.
    done = layered("evaluate", layered.runs[0], "--video", "cheetah.mp4", "--episodes", "1")
    assert done.returncode == 0, done.stderr
    assert (layered.folder / "cheetah.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("oldenv", 2, "error: requirements.txt: oldenv 1.0 wants numpy<2, but this image has numpy 2."),
        ("cuckoo", 1, "cuckoo 1.0 has overwritten rich/__init__.py of rich, which the image has"),
    ],
)
def test_what_does_not_go_with_the_image_is_refused(rl_sif, wheels, tmp_path, name, status, said):
    """An image is unpacked before it is looked at."""
    image = CHECKOUT / "of-a-test.sif"
    done = make_image(image.stem, wheels, REQUIREMENTS=asked(tmp_path, name))
    there = image.exists()
    remove(image.stem)
    assert said in done.stderr and f"Error {status}" in done.stderr and not there


def test_a_definition_of_ones_own(apptainer, rl_sif, container, tmp_path):
    """The example, with a package from a wheel, and what it refuses; an image is unpacked and built anew."""
    wheel = make_wheel(tmp_path, "tinyhelp", "0.5", {"tinyhelp.py": "REWARD = 1.0\n"})
    text = (CHECKOUT / "examples/own_image/own.def").read_text()
    [install] = re.findall(r"(?m)^    (/opt/rl/bin/pip install .*)", text)
    lines = [
        "/opt/rl/bin/pip install --no-index /tinyhelp-0.5-py3-none-any.whl",
        "! /opt/rl/bin/pip install --no-index numpy==1.26.4 || exit 1",
        "/opt/rl/bin/pip install --no-index numpy==1.26.4 2>&1 | grep '(constraint) numpy==2'",
        "echo 'MARK = 1' >>/opt/rl/lib/python3.11/site-packages/typing_extensions.py",
    ]
    text = text.replace(install, "\n    ".join(lines)).replace("From: rl.sif", f"From: {rl_sif}")
    text = re.sub(r"%test.*", "", text, flags=re.S).replace("%post", f"%files\n    {wheel} /\n\n%post")
    (tmp_path / "own.def").write_text(text)
    container.image = tmp_path / "own.sif"
    # How well it is compressed is of no matter here; Apptainer's own way takes minutes.
    fast = ["--mksquashfs-args", "-comp zstd -Xcompression-level 1"]
    build = [apptainer, "build", *build_options(find().runtime), *fast, container.image, tmp_path / "own.def"]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    code = "import tinyhelp as a, typing_extensions as b; from rlsif.packages import installed_packages as c"
    assert container("python", "-c", f"{code}; print(a.REWARD, b.MARK, c())").stdout == "1.0 1 {'tinyhelp': '0.5'}\n"
    done = container("train", "--env", "CartPole-v1", "--stop-iters", "1", "--local-mode", "--results-dir", "results")
    assert done.returncode == 0, done.stderr
