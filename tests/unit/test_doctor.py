"""`make doctor`: what is wrong on a machine is found, with the line that fixes it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlsif import doctor as examining

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def doctor(tmp_path):
    """Run the doctor on a PATH of programs that the test writes."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "readlink", "unshare"):
        (programs / name).symlink_to(shutil.which(name))
    (programs / "python3").write_text(f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
    (programs / "python3").chmod(0o755)

    def run(checkout=CHECKOUT, **texts):
        for name, text in texts.items():
            path = programs / name
            path.unlink(missing_ok=True)
            path.write_text(f"#!/bin/bash\n{text}\n")
            path.chmod(0o755)
        return subprocess.run(
            [checkout / "slurm/rl", "doctor"],
            env={"PATH": str(programs), "HOME": os.environ["HOME"]},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_machine_without_apptainer(doctor):
    done = doctor()
    assert done.returncode == 1
    assert "wrong    Apptainer is not on the PATH.\n         fix: module load apptainer" in done.stdout
    assert "no Slurm here" in done.stdout and "/dev/shm has" in done.stdout


def test_an_old_apptainer(doctor):
    done = doctor(apptainer="echo apptainer version 1.0.3")
    assert done.returncode == 1 and "wrong    Apptainer 1.0.3 will not do; Apptainer 1.1 or later, or" in done.stdout


@pytest.mark.parametrize(
    ("lacking", "allowed", "said", "level", "told"),
    [
        ("", True, "apptainer version 1.4.5", "ok", "has subordinate ids, for building images"),
        ("no line in /etc/subuid", True, "apptainer version 1.1.9", "ok", "are built in a root-mapped namespace"),
        ("no line in /etc/subuid", False, "apptainer version 1.1.9", "warning", "and no user namespaces to build"),
        ("no newuidmap on PATH", True, "singularity-ce version 4.1.5", "warning", "SingularityCE builds images only"),
    ],
)
def test_who_can_build_images(monkeypatch, lacking, allowed, said, level, told):
    monkeypatch.setattr(examining.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(examining, "_program", lambda: "/bin/apptainer")
    monkeypatch.setattr(examining, "_run", lambda *_: said)
    monkeypatch.setattr(examining.namespaces, "lacking_for_many_ids", lambda: lacking)
    monkeypatch.setattr(examining.namespaces, "are_allowed", lambda: allowed)
    [finding] = examining._subordinate_ids(CHECKOUT)
    assert finding.level == level and told in finding.text and bool(finding.fix) == (level == "warning")


@pytest.mark.fault(
    "Apptainer takes minutes to start an image, as where it unpacks it every time, or never answers",
    promise="`doctor` says so after a minute, with what fixes it",
)
@pytest.mark.parametrize("answers", [True, False])
def test_an_image_that_does_not_start_in_time(monkeypatch, tmp_path, answers):
    version = "[[ $1 != --version ]] || { echo apptainer version 1.4.5; exit; }" if answers else ""
    (tmp_path / "apptainer").write_text(f"#!/bin/bash\n{version}\nexec sleep 60\n")
    (tmp_path / "apptainer").chmod(0o755)
    (tmp_path / "rl.sif").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(examining, "SECONDS", 0.3)
    [*_, last] = examining._apptainer(tmp_path)
    assert last.level == examining.WRONG and last.fix
    command = "apptainer exec rl.sif true` takes" if answers else f"{tmp_path}/apptainer --version` fails, or takes"
    assert f"`{command} longer than 0.3 s." in last.text
    # All that reads labels of it ends, too.
    assert [*examining._images(tmp_path), *examining._packages(tmp_path)]


def test_slurm_with_its_partitions_and_gpus(doctor):
    sinfo = 'if [[ $1 == --version ]]; then echo slurm 23.11.4; else echo "main*|4|36|gpu:a100:2|up"; fi'
    done = doctor(sbatch="true", sinfo=sinfo)
    assert "ok       slurm 23.11.4." in done.stdout
    assert "partition main*: 4 nodes of 36 CPUs, gpu:a100:2, up." in done.stdout
    done = doctor(sbatch="true", sinfo="exit 1")
    assert done.returncode == 1 and "Slurm's controller does not answer" in done.stdout


# For each node; else for each partition.
SINFO = """case "$*" in
    --version) echo slurm 23.11.4 ;;
    *-N*) printf 'cpu%s|main*|(null)|1\\n' 1 2 3; echo "gpu1|main*|gpu:a100:1|WEIGHT" ;;
    *) echo "main*|4|36|gpu:a100:1|up" ;;
esac"""


@pytest.mark.fault(
    "the only GPU node has no higher Weight than nodes without GPUs, and Slurm may plan the rollout group there",
    promise="`doctor` says so, with the two ways out",
)
def test_a_plan_that_leaves_the_learner_without_a_node_is_foreseen(doctor):
    warned = (
        "warning  Slurm may plan the rollout group on gpu1, the only node with GPUs in partition main, and the learner"
        " would wait indefinitely.\n         fix: name a partition for each group in slurm/site.conf, as in"
    )
    said = doctor(sbatch="true", sinfo=SINFO.replace("WEIGHT", "1")).stdout
    assert warned in said and "or have administrators give that node a higher Weight" in said
    assert "Slurm may plan" not in doctor(sbatch="true", sinfo=SINFO.replace("WEIGHT", "10")).stdout


def test_a_wrong_line_of_the_site_is_told(doctor, tmp_path):
    copy = tmp_path / "a checkout"
    for name in ("entrypoints", "slurm", "containers"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "slurm/site.conf").write_text("account\n")
    done = doctor(copy, sbatch="true", sinfo=SINFO)
    assert f"wrong    {copy}/slurm/site.conf line 1 is 'account'; it must be as `account = x`" in done.stdout


def test_an_image_that_is_not_built(doctor, tmp_path):
    copy = tmp_path / "a checkout"
    for name in ("entrypoints", "slurm", "containers"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = doctor(copy)
    assert "wrong    rl.sif is not built.\n         fix: make image-cpu" in done.stdout


def test_an_old_python(doctor):
    done = doctor(python3="[[ $1 == --version ]] && echo Python 3.6.8; [[ $1 == --version ]]")
    assert done.returncode == 2
    assert done.stderr == "error: Python 3.6.8 is on the PATH; Python 3.9 or later is needed, load its module\n"


def test_packages_beside_the_code(doctor, tmp_path, monkeypatch):
    copy = tmp_path / "a checkout"
    for name in ("entrypoints", "slurm", "containers"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("rl.sif", "pyproject.toml"):
        (copy / file).touch()
    (tmp_path / "code/.rlsif/0123456789ab").mkdir(parents=True)
    (tmp_path / "code/.rlsif/0123456789ab/requirements.lock").write_text(
        "highway-env==1.12.1 \\\n    --hash=sha256:00\n"
    )
    monkeypatch.chdir(tmp_path / "code")
    labels = '{{"data": {{"attributes": {{"labels": {{"rlsif.pins": "{}"}}}}}}}}'
    said = f"[[ $1 == inspect ]] && echo '{labels}' || echo apptainer version 1.4.5"
    found = "packages beside the code, in .rlsif/0123456789ab"
    assert f"ok       {found}: highway-env 1.12.1.\n" in doctor(copy, apptainer=said.format("0123456789ab")).stdout
    told = doctor(copy, apptainer=said.format("ba9876543210")).stdout
    assert f"warning  {found}, are for another image, so that this one does not find them.\n" in told
    assert "fix: apptainer exec rl.sif packages add -r .rlsif/0123456789ab/requirements.in" in told
