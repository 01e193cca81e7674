"""Measure environments of the extras: an env runner beside a plain loop, and training beside Stable-Baselines3.

`make bench-environments` runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.report import write
from rlsif.images.apptainer import find

CHECKOUT = Path(__file__).parents[1]
HERE = CHECKOUT / "bench"
IMAGE = CHECKOUT / "bench-extras.sif"
PYTHON = HERE / ".venv-off-policy/bin/python"
ROUNDS = 3
SECONDS = 40
# Copies of the environment, rows of a batch and of a minibatch, epochs: the same for all.
TRAININGS = {"HalfCheetah-v5": (8, 2048, 128, 10), "ALE/Pong-v5": (8, 1024, 256, 4)}


def answer(command: list[Any]) -> dict[str, Any]:
    """The line of JSON that a command that must succeed prints last."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))} failed: {done.stderr[-500:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def ours(apptainer: Path, env: str, copies: int, batch: int, minibatch: int, epochs: int) -> float:
    """Env steps a second of `train` on two cores, without its first iteration."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"train_batch_size": batch, "minibatch_size": minibatch, "num_epochs": epochs}
        given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        asked = ["--num-cpus", "2", "--num-envs-per-env-runner", str(copies), "--no-normalize-rewards"]
        asked += ["--set", "observation_filter=NoFilter", "--stop-time", str(SECONDS), "--stop-reward", "1e9"]
        command = [apptainer, "exec", "--bind", folder, IMAGE, "train", "--env", env, *given, *asked]
        subprocess.run([*command, "--results-dir", folder], check=True, capture_output=True)
        [table] = Path(folder).rglob("result.json")
        rows = [json.loads(line) for line in table.read_text().splitlines()]
    steps, seconds = (rows[-1][name] - rows[0][name] for name in ("num_env_steps_sampled_lifetime", "time_total_s"))
    return float(steps / seconds)


def training(apptainer: Path, env: str, given: tuple[int, int, int, int]) -> dict[str, list[float]]:
    """Env steps a second in training, ours and Stable-Baselines3's, in turn."""
    of: dict[str, list[float]] = {"rlsif": [], "dummy": [], "subproc": []}
    for _ in range(ROUNDS):
        of["rlsif"].append(ours(apptainer, env, *given))
        for kind in ("dummy", "subproc"):
            peer = [PYTHON, HERE / "peers/stable_baselines3_steps.py", env, kind, *given, SECONDS // 2]
            of[kind].append(answer([str(word) for word in peer])["env-steps/s"])
        print(f"{env}: {of}", file=sys.stderr, flush=True)
    return of


def main() -> None:
    """Measure, and record after each part."""
    apptainer = find()
    if apptainer is None or not IMAGE.exists() or not PYTHON.exists():
        raise SystemExit("error: bench-extras.sif or the peers are missing; `make bench-environments` makes them")
    rates = [apptainer.program, "exec", "--bind", CHECKOUT, IMAGE, "python", HERE / "environment_rates.py", str(ROUNDS)]
    told = answer(rates)
    record: dict[str, Any] = {
        "date": f"{datetime.now():%Y-%m-%d}",
        "machine": {"cpus": os.cpu_count(), "apptainer": apptainer.version},
        "rates": told["environments"],
        "agents": told["agents"],
        "trainings": {},
    }
    write(record, "environments")
    for env, given in TRAININGS.items():
        record["trainings"][env] = training(apptainer.program, env, given)
        write(record, "environments")


if __name__ == "__main__":
    main()
