"""The CPU image as it was built."""

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from rlsif.images.sif import ImageError

CHECKOUT = Path(__file__).parents[2]
LARGEST_MB = 700


def test_it_is_small(rl_sif):
    assert rl_sif.stat().st_size / 1e6 <= LARGEST_MB


def test_labels_carry_versions_lock_digest_and_commit(images, rl_sif):
    labels = images.labels(rl_sif)
    assert labels["rlsif.version.ray"] == "2.60.0"
    assert labels["rlsif.version.tensorflow"].startswith("2.21.")
    assert labels["rlsif.version.python"].startswith("3.11.")
    assert re.fullmatch("[0-9a-f]{64}", labels["rlsif.lock"])
    # What no lock holds is told by its digest.
    assert re.fullmatch(r"12\.\d+ \d+ packages [0-9a-f]{12}", labels["rlsif.debian"])
    assert re.fullmatch(r"\d+ packages [0-9a-f]{12}", labels["rlsif.conda"])
    base = r"base (docker://\S+@sha256:[0-9a-f]{64}|from the machine's Debian mirror); conda packages from "
    assert re.match(base, labels["rlsif.sources"])
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?|unknown", labels["rlsif.commit"])


def test_its_own_test_passes(apptainer, rl_sif):
    done = subprocess.run([apptainer, "test", rl_sif], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "iter    1" in done.stdout


def test_help_says_what_to_type(apptainer, rl_sif):
    said = subprocess.run([apptainer, "run-help", rl_sif], capture_output=True, text=True, check=True).stdout
    assert "train --env CartPole-v1" in said


@pytest.mark.parametrize("verb", [("exec",), ("run",)])
def test_commands_are_on_the_path(container, verb):
    done = container("train", "--help", verb=verb)
    assert done.returncode == 0
    assert "--stop-reward" in done.stdout


def test_the_app_runs(apptainer, rl_sif):
    done = subprocess.run(
        [apptainer, "run", "--app", "train", rl_sif, "--list-algos"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for algo in ("PPO", "APPO", "IMPALA", "DQN", "SAC"):
        assert algo in done.stdout


def test_help_teaches_every_option(container):
    # The text stands between table borders, folded by width.
    said = container("train", "--help", env={"COLUMNS": "200"}).stdout
    options = re.findall(r"│ (--[a-z-]+)", said)
    assert {"--env", "--algo", "--framework", "--num-cpus", "--num-gpus", "--seed", "--resume", "--set"} <= set(options)
    for line in said.splitlines():
        if line.startswith("│ --"):
            assert len(line.strip("│ ").split()) > 4, line


def test_it_is_a_conda_prefix(container):
    done = container("sh", "-c", "echo $CONDA_PREFIX; cat $CONDA_PREFIX/conda-meta/python-*.json")
    prefix, record = done.stdout.split("\n", 1)
    assert prefix == "/opt/rl"
    assert json.loads(record)["name"] == "python"
    assert len(json.loads(record)["files"]) > 500


def test_one_more_conda_package_can_be_installed_into_a_copy(container, apptainer, rl_sif):
    """The recorded prefix is one that a conda installer can continue with."""
    import asyncio

    import rattler
    from rattler.index import index_fs

    copy, channel = container.folder / "prefix", container.folder / "channel"
    container("sh", "-c", f"mkdir '{copy}' && cp -r /opt/rl/conda-meta /opt/rl/bin '{copy}'")
    make_package(channel, "greeting", {"share/greeting": "hello\n"})
    python = json.loads(next((copy / "conda-meta").glob("python-*.json")).read_text())

    async def install():
        installed = [rattler.PrefixRecord.from_path(p) for p in (copy / "conda-meta").glob("*.json")]
        await index_fs(channel)
        records = await rattler.solve([channel.as_uri()], ["greeting"], locked_packages=installed)
        await rattler.install(
            [*installed, *records], target_prefix=copy, cache_dir=container.folder / "cache", show_progress=False
        )

    asyncio.run(install())
    assert (copy / "share/greeting").read_text() == "hello\n"
    assert {p.name.split("-")[0] for p in (copy / "conda-meta").glob("*.json")} >= {"python", "greeting"}
    assert json.loads(next((copy / "conda-meta").glob("python-*.json")).read_text())["version"] == python["version"]


def make_package(channel, name, files):
    """Write the smallest conda package there is into a channel."""
    import hashlib
    import io
    import tarfile

    (channel / "noarch").mkdir(parents=True)
    paths = [
        {"_path": p, "path_type": "hardlink", "sha256": hashlib.sha256(t.encode()).hexdigest(), "size_in_bytes": len(t)}
        for p, t in files.items()
    ]
    index = {
        "name": name,
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": "noarch",
        "timestamp": 0,
    }
    content = {
        "info/index.json": json.dumps(index),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
        **files,
    }
    with tarfile.open(channel / f"noarch/{name}-1.0-0.tar.bz2", "w:bz2") as tar:
        for path, text in content.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))


@pytest.mark.fault(
    "the host has Python packages and settings of its own",
    promise="nothing of them is seen inside the image",
)
def test_the_hosts_python_does_not_leak_in(container):
    (container.folder / "numpy.py").write_text("raise SystemExit('the host leaked in')")
    home = container.folder / "home"
    site = home / ".local/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    shutil.copy(container.folder / "numpy.py", site / "numpy.py")
    done = container(
        "sh",
        "-c",
        'cd / && echo "[$LD_PRELOAD$PYTHONPATH]" && python -c "$CODE"',
        verb=("exec", "--home", str(home)),
        env={
            "CODE": "import numpy, sys; print(numpy.__file__, sys.flags.no_user_site)",
            "PYTHONPATH": str(container.folder),
            "LD_PRELOAD": "/nothing.so",
            "PYTHONHOME": "/nothing",
        },
    )
    assert "[]" in done.stdout
    assert "/opt/rl/lib/python3.11/site-packages/numpy/__init__.py 1" in done.stdout


def test_it_has_one_tensorflow_and_legacy_keras(container):
    done = container(
        "sh",
        "-c",
        "echo $TF_USE_LEGACY_KERAS; cd /opt/rl/lib/python3.11/site-packages; ls -d tensorflow*.dist-info;"
        " find / -xdev -name 'libtensorflow_cc.so*'; grep -c . tensorflow-2*.dist-info/RECORD",
    )
    assert done.stdout.startswith("1\n")
    assert re.search(r"tensorflow_cpu-2\.21\S+dist-info", done.stdout)
    # By the other name there is a note for pip alone, which has no files but its own.
    assert done.stdout.count("libtensorflow_cc.so") == 1 and done.stdout.endswith("\n3\n")


def test_a_cpu_image_sees_no_gpu_and_says_why(container):
    done = container("check-gpu")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    assert "sees no GPU: this image has the CPU build; use rl-gpu.sif" in done.stderr


def test_rollout_demo_prints_every_step(container):
    done = container("rollout-demo", "--env", "CartPole-v1", "--steps", "15", "--seed", "1")
    steps = [line for line in done.stdout.splitlines() if line.startswith("step")]
    assert len(steps) == 15
    assert all(re.search(r"action [01]  observation \[.*\]  reward 1", line) for line in steps)


def test_rebuilding_with_nothing_changed_does_nothing(rl_sif):
    before = rl_sif.stat()
    done = subprocess.run(["make", "image-cpu"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert "rl.sif is up to date" in done.stdout, done.stdout + done.stderr
    assert rl_sif.stat().st_mtime == before.st_mtime


@pytest.mark.fault("the build of an image fails", promise="the old image stays")
def test_a_build_that_fails_keeps_the_old_image(images, tmp_path):
    old = tmp_path / "rl.sif"
    old.write_text("the old image")
    broken = tmp_path / "broken.def"
    broken.write_text("Bootstrap: scratch\n\n%setup\n    echo the reason >&2; exit 3\n")
    from rlsif.images.apptainer import build_options

    with pytest.raises(ImageError, match="building rl.sif failed"):
        images.build(broken, old, build_options(images.runtime))
    assert old.read_text() == "the old image"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.def", "rl.log", "rl.sif"]


@pytest.mark.fault("a file is no image", promise="the sentence says so")
def test_a_file_that_is_no_image_is_told(images, tmp_path):
    (tmp_path / "no.sif").write_text("no image")
    with pytest.raises(ImageError, match=r"no.sif is not an image that Apptainer can read"):
        images.labels(tmp_path / "no.sif")


@pytest.mark.fault("another user runs an image", promise="it works as for its owner")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_another_user_can_use_it(container):
    home = container.folder / "home of nobody"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for parent in [container.folder, *container.folder.parents]:
        if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    # A copy that every user may read; the checkout's folder may be closed to them.
    image = shutil.copy(container.image, container.folder / "rl.sif")
    # Machines for users have /dev/fuse open to them; where this one has not, the test has one of its own.
    fuse = container.folder / "fuse"
    os.mknod(fuse, 0o666 | stat.S_IFCHR, os.makedev(10, 229))
    fuse.chmod(0o666)
    own_fuse = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /dev/fuse && exec "$@"', fuse]
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"HOME={home}"]
    train = [container.apptainer, "exec", image, "train", "--env", "CartPole-v1", "--local-mode", "--stop-iters", "1"]
    train += ["--results-dir", home / "results"]
    done = subprocess.run([*own_fuse, *user, *train], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((home / "results").glob("CartPole-v1/*/summary.json"))


def test_the_shell_completes_options_and_commands(container):
    script = """
    eval "$(train --show-completion)"
    COMP_WORDS=(train --stop-t) COMP_CWORD=1
    _train_completion train
    echo "${COMPREPLY[*]}"
    """
    assert container("bash", "-c", script).stdout == "--stop-timesteps --stop-time\n"
