"""Measure images, start-up and training, each beside its peer in the same run.

`make bench` runs it. Writes bench/results/<date>.json (every raw figure) and bench/README.md
(medians and ratios). Nothing here is a test: figures that are not reached stand in the table.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rlsif.images.apptainer import build_options, find
from rlsif.images.build import build_record
from rlsif.images.sif import Images

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
IMAGE = CHECKOUT / "rl.sif"
START_UPS = 5
SEEDS = (0, 1, 2)
LONGEST_TRAINING_S = 100
ENV_RUNNERS = (1, 2, 4, 8)
PEERS = HERE / ".venv-peers/bin/python"
# A figure of parts.py.
UPDATE = "update of 2x64, batch 8192, minibatch 512, 6 epochs: samples/s"
# Into the learner's node, bytes a second.
NETWORK = 1e9
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
    Images(apptainer)
    record: dict[str, object] = {
        "date": f"{datetime.now():%Y-%m-%d}",
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "apptainer": found.version},
        "image": {"size_mb": IMAGE.stat().st_size / 1e6, **build_record(CHECKOUT, "cpu")},
    }
    folder = Path(tempfile.mkdtemp(prefix="rlsif-bench-"))
    try:
        sandbox = folder / "sandbox"
        seconds([apptainer, "build", "--sandbox", *build_options(), sandbox, IMAGE])
        record["start_up"] = start_up(apptainer, sandbox)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    record["parts"] = parts(apptainer)
    record["growth"] = growth(apptainer)
    record["cartpole"] = cartpole(apptainer)
    return record


def spread(values: list[float | None], unit: str = "s") -> str:
    """`median (min to max)`, with how many did not get there."""
    there = [v for v in values if v is not None]
    missing = (
        f", {len(values) - len(there)} of {len(values)} not within {LONGEST_TRAINING_S} s"
        if len(there) < len(values)
        else ""
    )
    if not there:
        return f"none of {len(values)} within {LONGEST_TRAINING_S} s"
    low, mid, high = min(there), statistics.median(there), max(there)
    digits = 0 if mid >= 100 else 1
    return f"{mid:,.{digits}f} {unit} ({low:,.{digits}f} to {high:,.{digits}f}){missing}".replace("  ", " ")


def ratio(one: list[float | None], other: list[float | None]) -> str:
    """The ratio of two medians, where both have one."""
    if any(v is None for v in [*one, *other]):
        return "-"
    return f"{statistics.median(one) / statistics.median(other):.2f}"  # type: ignore[type-var, operator]


def table(record: dict) -> str:
    """The record as Markdown."""
    image, start, cartpole, machine = (record[key] for key in ("image", "start_up", "cartpole", "machine"))
    lines = [
        "# Speed",
        "",
        f"{record['date']}, by `make bench`: {machine['cpus']} cores, Apptainer {machine['apptainer']}, the",
        "image mounted as an ordinary user's is (FUSE). Medians, with minimum and maximum in brackets; peers ran in",
        "the same run, in turn. The raw figures are in [results](results).",
        "",
        "| image | |",
        "|---|---|",
        f"| size of rl.sif | {image['size_mb']:.0f} MB |",
        f"| time to build it | {image['seconds']:.0f} s ({image['sources']}) |",
        "",
        "| start-up, a mount each | image | unpacked | ratio |",
        "|---|---|---|---|",
    ]
    for name, places in start.items():
        row = f"{spread(places['image'])} | {spread(places['unpacked'])} | {ratio(places['image'], places['unpacked'])}"
        lines.append(f"| {name} | {row} |")
    lines += [
        "",
        "| CartPole-v1 to a mean return of 475 | training | whole command | against `train` | env-steps/s |",
        "|---|---|---|---|---|",
    ]
    first = [r["whole_s"] for r in cartpole["train"]]
    for name, rounds in cartpole.items():
        training, whole, rate = ([r[key] for r in rounds] for key in ("training_s", "whole_s", "env_steps_per_s"))
        lines.append(f"| {name} | {spread(training)} | {spread(whole)} | {ratio(whole, first)} | {spread(rate, '')} |")
    lines += ["", "| the parts apart, one env runner, 64x64 | ours | RLlib's own | ratio |", "|---|---|---|---|"]
    for name, places in record["parts"].items():
        ours, peers = places["ours"], places["rllib"]
        lines.append(f"| {name} | {spread(ours, '')} | {spread(peers, '')} | {ratio(ours, peers)} |")
    names = list(next(iter(record["growth"].values())))
    lines += ["", f"| PPO on CartPole-v1 | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for way, figures in record["growth"].items():
        lines.append(f"| {way} | {' | '.join(spread(figures[name], '').strip() for name in names)} |")
    lines += ["", *curve(record)]
    return "\n".join(lines) + "\n"


def curve(record: dict) -> list[str]:
    """Steps a second that the measured parts of PPO add up to for many env runners, and where its learner is the limit.

    An iteration samples, ships and learns one after the other, so that the times of an env step add up. Assumed: a
    network of 1 GB/s into the learner, a learner as measured, env runners that do not wait for each other.
    """
    parts = record["parts"]
    learner = statistics.median(parts[UPDATE]["ours"])
    kinds = {
        "CartPole-v1": statistics.median(parts["CartPole-v1 (own vector entry point): env-steps/s"]["ours"]),
        "Acrobot-v1": statistics.median(parts["Acrobot-v1 (one after the other): env-steps/s"]["ours"]),
        "an environment of 1 ms a step": 1000.0,
    }
    size = statistics.median(parts["CartPole-v1 (own vector entry point): bytes a step"]["ours"])
    counts = (1, 10, 36, 100, 360, 1000)
    head = ["computed for PPO, env-steps/s", "learner's limit", *(f"{n} env runners" for n in counts)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for kind, rate in kinds.items():
        values = [1 / (1 / (n * rate) + size / NETWORK + 1 / learner) for n in counts]
        lines.append(f"| {kind} | {learner:,.0f} | {' | '.join(f'{value:,.0f}' for value in values)} |")
    return lines


def main() -> None:
    """Measure, record, print."""
    record = measure()
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / f"{record['date']}.json").write_text(json.dumps(record, indent=1) + "\n")
    text = table(record)
    (HERE / "README.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
