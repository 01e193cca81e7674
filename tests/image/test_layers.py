"""Images with packages of a user's own: by `make image-cpu REQUIREMENTS=...`, by extras, by a definition file."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from rlsif.images.apptainer import build_options, find
from tests import network
from tests.wheels import make_wheel

CHECKOUT = Path(__file__).parents[2]
NAME = "of-a-test"
SECONDS = 600


@pytest.fixture
def build(tmp_path, container):
    """Build an image of this checkout with packages of the test's own; gives what make said, and a container of it."""
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "tinyhelp", "0.5", {"tinyhelp.py": "REWARD = 1.0\n"})
    make_wheel(
        wheels, "tinyenv", "1.2", {"tinyenv.py": "import tinyhelp, numpy\n"}, ("tinyhelp", "numpy", "tensorflow")
    )
    make_wheel(wheels, "oldenv", "1.0", {"oldenv.py": ""}, ("numpy<2",))
    make_wheel(wheels, "cuckoo", "1.0", {"rich/__init__.py": "MARK = 1\n"})
    container.image = CHECKOUT / f"{NAME}.sif"

    def run(**variables):
        arguments = [f"{name}={value}" for name, value in {"NAME": NAME, "WHEELHOUSE": wheels, **variables}.items()]
        done = subprocess.run(
            ["make", "--silent", "image-cpu", *arguments],
            cwd=CHECKOUT, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        print(done.stdout + done.stderr)
        return done

    yield run
    for path in CHECKOUT.glob(f"{NAME}.*"):
        path.unlink()


def asked(folder, *names):
    file = folder / "requirements.txt"
    file.write_text("".join(f"{name}\n" for name in names))
    return file


def test_requirements_make_a_layer_with_a_lock(build, container, images, tmp_path):
    file = asked(tmp_path, "tinyenv")
    done = build(REQUIREMENTS=file, APT="tree")
    assert done.returncode == 0, done.stdout + done.stderr
    lock = (tmp_path / "requirements.txt.lock").read_text()
    assert re.findall(r"(?m)^(\S+==\S+) \\\n    --hash=sha256:", lock) == ["tinyenv==1.2", "tinyhelp==0.5"]
    code = "import tinyenv, rich; from rlsif.packages import installed_packages as p; print(p(), rich.__loader__)"
    said = container("python", "-c", code).stdout
    assert said.startswith("{'tinyenv': '1.2', 'tinyhelp': '0.5'}") and "BundleLoader" in said
    assert container("tree", "--version").returncode == 0
    assert images.labels(container.image)["rlsif.packages.added"] == "requirements.txt; tree (Debian)"
    assert f"{NAME}.sif is up to date" in build(REQUIREMENTS=file, APT="tree").stdout


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("oldenv", 2, "error: requirements.txt: oldenv 1.0 wants numpy<2, but this image has numpy 2."),
        ("cuckoo", 1, "cuckoo 1.0 has overwritten rich/__init__.py of rich, which the image has"),
    ],
)
def test_what_does_not_go_with_the_image_is_refused(build, tmp_path, name, status, said):
    done = build(REQUIREMENTS=asked(tmp_path, name))
    assert said in done.stderr and f"Error {status}" in done.stderr
    assert not (CHECKOUT / f"{NAME}.sif").exists()


def test_conda_packages_from_channels(build, container, tmp_path, monkeypatch):
    """One is a folder; the other is behind a proxy that only an authority of the site's own vouches for."""
    from rattler.index import index_fs

    from tests.image.test_image import make_package

    for channel, name in (("near", "greeting"), ("far", "farewell")):
        make_package(tmp_path / channel, name, {f"share/{name}": f"{name}\n"})
    asyncio.run(index_fs(tmp_path / "far"))
    environment = tmp_path / "environment.yml"
    channels = f"{(tmp_path / 'near').as_uri()}, 'https://{network.CHANNEL}'"
    environment.write_text(f"channels: [{channels}]\ndependencies: [greeting, farewell]\n")
    with network.proxy(tmp_path, {network.CHANNEL: tmp_path / "far"}) as proxy:
        for variable, value in proxy.variables.items():
            monkeypatch.setenv(variable, value)
        done = build(ENVIRONMENT=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert container("sh", "-c", "cat /opt/rl/share/*ing /opt/rl/share/*well").stdout == "greeting\nfarewell\n"


def test_several_extras_at_once(build, container):
    """A layer of three extras, about a minute of squashing; then a training and a video."""
    done = build(EXTRAS="mujoco,minigrid,atari")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("HalfCheetah-v5", "minigrid:MiniGrid-Empty-5x5-v0", "ale_py:ALE/Pong-v5"):
        code = f"import gymnasium; env = gymnasium.make({name!r}, render_mode='rgb_array'); env.reset(seed=0); "
        done = container("python", "-c", f"{code}print(env.render().std() > 1)")
        assert done.stdout.splitlines()[-1:] == ["True"], done.stderr
    small = ("--set", "train_batch_size=1000", "--set", "num_epochs=1", "--stop-iters", "1", "--local-mode")
    short = ("--env", "HalfCheetah-v5", "--env-config", "max_episode_steps=20")
    assert container.train(*short, *small).returncode == 0
    # Mesa draws by another LLVM than TensorFlow's, so not in the process of the agent.
    done = container("evaluate", container.runs[0], "--video", "cheetah.mp4", "--episodes", "1")
    assert done.returncode == 0, done.stderr
    assert (container.folder / "cheetah.mp4").stat().st_size > 1000


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
