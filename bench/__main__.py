"""Measure images, start-up and training, each beside its peer in the same run.

`make bench` runs it. Nothing here is a test: figures that are not reached stand in the table.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from bench.report import LONGEST_TRAINING_S, write
from rlsif.images.apptainer import build_options, find
from rlsif.images.build import build_record

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
IMAGE = CHECKOUT / "rl.sif"
START_UPS = 5
SEEDS = (0, 1, 2)
ENV_RUNNERS = (1, 2, 4, 8)
PEERS = HERE / ".venv-peers/bin/python"
IMPORT = "import tensorflow, ray.rllib; from ray.rllib.algorithms.ppo import PPO"


def seconds(command: list[str | Path]) -> float:
    """Wall time of a command that must succeed."""
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))} failed: {done.stderr[-500:]}")
    return time.monotonic() - started


def start_up(apptainer: Path, sandbox: Path) -> dict[str, dict[str, list[float]]]:
    """Seconds to import everything and to print help, in the image and in the same tree unpacked, in turn."""
    commands = {"import RLlib and TensorFlow": ["python", "-c", IMPORT], "train --help": ["train", "--help"]}
    # As an ordinary user's Apptainer does it: root's own mounts an image by the kernel.
    execute: list[str | Path] = [apptainer, "exec", "--userns"]
    figures = {}
    for name, command in commands.items():
        places = {"image": IMAGE, "unpacked": sandbox}
        for place in places.values():
            seconds([*execute, place, *command])
        rounds = [{p: seconds([*execute, path, *command]) for p, path in places.items()} for _ in range(START_UPS)]
        figures[name] = {p: [r[p] for r in rounds] for p in places}
    return figures


def trained(apptainer: Path, seed: int, *options: str) -> dict[str, float | None]:
    """Our `train` on CartPole-v1 to a mean return of 475, on all cores or as the options say."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", "--env", "CartPole-v1", "--stop-reward", "475", "--stop-time", str(LONGEST_TRAINING_S)]
        command += [*options, "--seed", str(seed), "--results-dir", folder]
        whole = seconds([apptainer, "exec", "--bind", folder, IMAGE, *command])
        summary = json.loads(next(Path(folder).glob("*/*/summary.json")).read_text())
    return reached(summary["episode_return_mean"], summary["time_total_s"], whole, summary["env_steps"])


def peer_trained(python: list[str | Path], script: str, seed: int) -> dict[str, float | None]:
    """The same by one of the peers, on the same cores."""
    started = time.monotonic()
    command = [*python, HERE / "peers" / script, str(seed), str(LONGEST_TRAINING_S)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: {script} failed: {done.stderr[-500:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return reached(told["mean"], told["seconds"], time.monotonic() - started, told["env_steps"])


def cartpole(apptainer: Path) -> dict[str, list[dict[str, float | None]]]:
    """Every way to train CartPole-v1, in turn, seed by seed."""
    in_image = [apptainer, "exec", "--bind", CHECKOUT, IMAGE, "python"]
    ways = {
        "train": lambda seed: trained(apptainer, seed),
        "train --num-cpus 1": lambda seed: trained(apptainer, seed, "--num-cpus", "1"),
        "Stable-Baselines3, rl-zoo's preset": lambda seed: peer_trained([PEERS], "stable_baselines3_ppo.py", seed),
        "RLlib, PyTorch, its tuned example": lambda seed: peer_trained([PEERS], "rllib_torch_ppo.py", seed),
        "RLlib, TensorFlow, its defaults": lambda seed: peer_trained(in_image, "rllib_tf_defaults.py", seed),
    }
    rounds: dict[str, list[dict[str, float | None]]] = {name: [] for name in ways}
    for seed in SEEDS:
        for name, way in ways.items():
            rounds[name].append(way(seed))
            print(f"seed {seed}, {name}: {rounds[name][-1]}", file=sys.stderr, flush=True)
    return rounds


def growth(apptainer: Path) -> dict[str, dict[str, list[float]]]:
    """Training with more and more env runners: way -> figure -> values of all rounds."""
    ways = {**{f"{n} env runners": (n, "ours") for n in ENV_RUNNERS}, f"{4} of RLlib's own": (4, "rllib")}
    figures: dict[str, dict[str, list[float]]] = {}
    for name, (number, whose) in ways.items():
        for _ in SEEDS:
            command = [apptainer, "exec", "--bind", CHECKOUT, IMAGE, "python", HERE / "growth.py", str(number), whose]
            done = subprocess.run([*command, str(time.time())], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise SystemExit(f"error: growth.py {number} {whose} failed: {done.stderr[-500:]}")
            for figure, value in json.loads(done.stdout.splitlines()[-1]).items():
                figures.setdefault(name, {}).setdefault(figure, []).append(value)
        print(f"{name}: {figures[name]}", file=sys.stderr, flush=True)
    return figures


def reached(mean: float | None, training: float, whole: float, env_steps: int) -> dict[str, float | None]:
    """One training as the record keeps it."""
    solved = mean is not None and mean >= 475
    return {
        "mean_return": mean,
        "training_s": training if solved else None,
        "whole_s": whole if solved else None,
        "env_steps_per_s": env_steps / training,
    }


def parts(apptainer: Path) -> dict[str, dict[str, list[float]]]:
    """Sampling, memory and update apart, ours and RLlib's own."""
    command = [apptainer, "exec", "--bind", CHECKOUT, IMAGE, "python", HERE / "parts.py", str(len(SEEDS))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, dict[str, list[float]]] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure() -> dict[str, object]:
    """Take every figure."""
    found = find()
    if not PEERS.exists():
        raise SystemExit("error: the peers' environment is missing; `make bench` makes it")
    if found is None or not IMAGE.exists():
        raise SystemExit("error: rl.sif or Apptainer is missing; run `make image-cpu` first")
    apptainer = found.program
    record: dict[str, object] = {
        "date": f"{datetime.now():%Y-%m-%d}",
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "apptainer": found.version},
        "image": {"size_mb": IMAGE.stat().st_size / 1e6, **build_record(CHECKOUT, "cpu")},
    }
    folder = Path(tempfile.mkdtemp(prefix="rlsif-bench-"))
    try:
        sandbox = folder / "sandbox"
        seconds([apptainer, "build", "--sandbox", *build_options(found.runtime), sandbox, IMAGE])
        record["start_up"] = start_up(apptainer, sandbox)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    record["parts"] = parts(apptainer)
    record["growth"] = growth(apptainer)
    record["cartpole"] = cartpole(apptainer)
    return record


def main() -> None:
    """Measure and record."""
    write(measure(), "machine")


if __name__ == "__main__":
    main()
