"""What the checked-in scripts ask Slurm for; a change here is a change for every user."""

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
