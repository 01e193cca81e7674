"""What the checked-in scripts ask Slurm for; a change here is a change for every user."""

import subprocess
from pathlib import Path

import pytest

SLURM = Path(__file__).parents[2] / "slurm"
COMMON = ["--job-name=rl", "--output=rl-%j.out --open-mode=append"]
GOLDEN = {
    "hetjob": [
        *COMMON,
        "--requeue --signal=B:USR1@120",
        "--time=24:00:00",
        "--nodes=1 --ntasks-per-node=1 --cpus-per-task=2 --mem-per-cpu=4G",
        "hetjob",
        "--nodes=2 --ntasks-per-node=1 --cpus-per-task=8 --mem-per-cpu=2G",
        "hetjob",
        "--nodes=1 --ntasks-per-node=1 --cpus-per-task=4 --mem-per-cpu=4G --gres=gpu:1",
    ],
    "multinode": [
        *COMMON,
        "--requeue --no-kill --signal=B:USR1@120",
        "--time=24:00:00",
        "--nodes=2 --ntasks-per-node=1 --cpus-per-task=8 --mem-per-cpu=2G",
    ],
    "node": [
        *COMMON,
        "--requeue --signal=B:USR1@120",
        "--time=24:00:00",
        "--nodes=1 --ntasks-per-node=1 --exclusive --mem=0",
    ],
    "rollout": [
        "--job-name=rl-rollout",
        COMMON[1],
        "--no-requeue --no-kill",
        "--time=24:00:00",
        "--nodes=1 --ntasks-per-node=1 --cpus-per-task=8 --mem-per-cpu=2G",
    ],
}


@pytest.mark.parametrize("script", GOLDEN)
def test_the_options_of_a_script(script):
    lines = (SLURM / f"{script}.sh").read_text().splitlines()
    assert [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")] == GOLDEN[script]
    # Slurm reads them up to the first line of the script that does something.
    last = max(number for number, line in enumerate(lines) if line.startswith("#SBATCH "))
    assert all(line.startswith("#") or not line for line in lines[:last])


def shared(tmp_path, command, scontrol=""):
    """What a function of common.sh says, where scontrol says this."""
    fake = tmp_path / "scontrol"
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{scontrol}\nEND\n")
    fake.chmod(0o755)
    script = f"set -euo pipefail; . '{SLURM}/common.sh'; {command}"
    known = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "RL_ROOT": "/opt/rlsif"}
    done = subprocess.run(["bash", "-c", script], env=known, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("said, cpus", [("8", 8), ("6(x2)", 12), ("8(x2),16", 32), ("128(x100),64", 12864)])
def test_cores_are_counted_as_slurm_tells_them(tmp_path, said, cpus):
    assert shared(tmp_path, f"job::cpus '{said}'") == str(cpus)


@pytest.mark.parametrize(
    "said, gpus",
    [
        ("   TresPerNode=gres/gpu:2", 2),
        ("   TresPerNode=gpu:a100:4", 4),
        ("   TresPerNode=gres/gpu", 1),
        ("   TresPerNode=gres/gpu:a100", 1),
        ("   TresPerJob=gres/gpu:2", 2),
        ("   TresPerTask=cpu=2,gres/gpu=3", 3),
        ("   TresPerTask=cpu=2", 0),
        ("   TresPerNode=(null)", 0),
    ],
)
def test_gpus_are_counted_as_slurm_tells_them(tmp_path, said, gpus):
    assert shared(tmp_path, "job::gpus 7", f"JobId=7 JobName=rl\n   NumCPUs=4\n{said}\n") == str(gpus)
