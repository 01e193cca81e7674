"""DQN and SAC beside Stable-Baselines3 and SBX in the same run: rates with the same settings, and time to a goal.

`make bench-off-policy` runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.off_policy_tasks import TASKS
from bench.report import write
from rlsif.images.apptainer import find

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
IMAGE = CHECKOUT / "rl.sif"
PEERS = {"Stable-Baselines3": "stable_baselines3", "SBX": "sbx"}
PYTHON = HERE / ".venv-off-policy/bin/python"
SEEDS = (0, 1, 2)
LONGEST_S = 300


def answer(command: list[str | Path]) -> dict[str, float]:
    """The line of JSON that a command that must succeed prints last."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))} failed: {done.stderr[-500:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def in_turn(ways: dict[str, Callable[[int], dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The figures of every way, seed by seed."""
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for seed in SEEDS:
        for name, way in ways.items():
            rounds[name].append(way(seed))
            print(f"seed {seed}, {name}: {rounds[name][-1]}", file=sys.stderr, flush=True)
    return rounds


def rates(apptainer: Path, task: str) -> dict[str, list[dict[str, Any]]]:
    """Env steps and updates a second with equal settings."""
    inside: list[str | Path] = ["env", f"PYTHONPATH={CHECKOUT}", "python", HERE / "off_policy_rate.py", task]
    command = [apptainer, "exec", "--bind", CHECKOUT, IMAGE, *inside]
    peers = {
        name: lambda seed, module=module: answer(
            [PYTHON, HERE / "peers/off_policy.py", "rate", module, task, str(seed), "0"]
        )
        for name, module in PEERS.items()
    }
    return in_turn({"rlsif": lambda seed: answer([*command, str(seed)]), **peers})


def goals(apptainer: Path, task: str) -> dict[str, list[dict[str, Any]]]:
    """Seconds and env steps to the task's mean return, each by its own preset."""
    peers = {
        name: lambda seed, module=module: reached(
            TASKS[task].goal,
            answer([PYTHON, HERE / "peers/off_policy.py", "goal", module, task, str(seed), str(LONGEST_S)]),
        )
        for name, module in PEERS.items()
    }
    return in_turn({"rlsif": lambda seed: trained(apptainer, task, seed), **peers})


def trained(apptainer: Path, task: str, seed: int) -> dict[str, Any]:
    """Our `train` to the task's goal."""
    with tempfile.TemporaryDirectory() as folder:
        goal = ["--stop-reward", str(TASKS[task].goal), "--stop-time", str(LONGEST_S), "--seed", str(seed)]
        command = ["train", "--algo", TASKS[task].algo, "--env", TASKS[task].env, *goal, "--results-dir", folder]
        subprocess.run([apptainer, "exec", "--bind", folder, IMAGE, *command], capture_output=True, check=True)
        summary = json.loads(next(Path(folder).glob("*/*/summary.json")).read_text())
    told = {name: summary[key] for name, key in MEASURED.items()}
    return reached(TASKS[task].goal, told)


# What a peer calls it, and what summary.json does.
MEASURED = {"mean": "episode_return_mean", "seconds": "time_total_s", "env_steps": "env_steps"}


def reached(goal: float, told: dict[str, Any]) -> dict[str, Any]:
    """One training as the record keeps it; without seconds where it did not reach the goal."""
    there = told["mean"] is not None and told["mean"] >= goal
    return {
        "mean_return": told["mean"],
        "training_s": told["seconds"] if there else None,
        "env_steps": told["env_steps"],
    }


def main() -> None:
    """Measure and record."""
    found = find()
    if not PYTHON.exists() or found is None or not IMAGE.exists():
        raise SystemExit("error: rl.sif, Apptainer or the peers' environment is missing; run `make bench-off-policy`")
    started = time.monotonic()
    machine = {"cpus": os.cpu_count(), "apptainer": found.version}
    record = {
        "date": f"{datetime.now():%Y-%m-%d}",
        "machine": machine,
        "longest_s": LONGEST_S,
        "rates": {task: rates(found.program, task) for task in TASKS},
        "goals": {
            f"{task.algo}, {task.env} to {task.goal:g}": goals(found.program, name) for name, task in TASKS.items()
        },
    }
    print(f"measured in {time.monotonic() - started:.0f} s", file=sys.stderr)
    write(record, "off-policy")


if __name__ == "__main__":
    main()
