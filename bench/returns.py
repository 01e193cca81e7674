"""Train with the presets for as many env steps as others publish, and hold the returns against theirs.

`make bench-returns` runs it; `python -m bench.returns DQN SAC/Pendulum-v1` only some, beside what the last record has;
`--cpus 1` leaves the other cores alone. Three seeds each, then a hundred deterministic episodes of the agent as it is
at the end. Writes docs/results.md, and docs/curves for environments of extras. bench/runs has the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import RESULTS
from rlsif.images.apptainer import find

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results.md"
CURVES = ROOT / "docs/curves"
RUNS = ROOT / "bench/runs"
SEEDS = (1, 2, 3)
EPISODES = 100
# Never reached, so that every run has all of its env steps.
NO_GOAL = "1e9"
ZOO = "rl-baselines3-zoo"
ZOO_PAGE = "https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md"

NO_NOISE = "it has no preset; without noise that lasts for many env steps, as the published run has, it sees no goal"

DEVIATION = (
    "the published run begins with actions whose standard deviation is 0.14, and RLlib's networks with 1; CleanRL's,"
    " which begin with 1, too, return 1,442.6 in HalfCheetah-v4"
)
TOO_SHORT = "the published run is twenty times as long"
CLEANRL = "CleanRL publishes 2,288.0 for Walker2d-v4"


class Task(NamedTuple):
    """A training of so many env steps; the return that is published for them, and where; why ours is lower."""

    algo: str
    env: str
    steps: int
    # None where nobody has published one for this environment.
    published: float | None
    source: str = ZOO
    lower_because: str = ""
    # What `make image-cpu EXTRAS=... NAME=extras` adds to the image.
    extra: str = ""

    @property
    def name(self) -> str:
        """As typed."""
        return f"{self.algo}/{self.env}"

    @property
    def image(self) -> Path:
        """The image that has the environment."""
        return ROOT / ("extras.sif" if self.extra else "rl.sif")

    @property
    def curve(self) -> Path:
        """The picture of the three runs."""
        name = re.split("[/:]", self.env)[-1]
        return CURVES / f"{self.algo}_{name}{'_of_envpool' * self.env.startswith('envpool:')}.svg".lower()


TASKS = (
    Task("PPO", "CartPole-v1", 100_000, 500.0),
    Task("PPO", "Acrobot-v1", 1_000_000, -73.5),
    Task("PPO", "MountainCar-v0", 1_000_000, -110.0),
    Task("PPO", "MountainCarContinuous-v0", 20_000, 88.0),
    Task("PPO", "Pendulum-v1", 100_000, -172.0),
    Task("DQN", "CartPole-v1", 50_000, 500.0),
    Task("DQN", "Acrobot-v1", 100_000, -76.6),
    Task("DQN", "MountainCar-v0", 120_000, -101.0),
    Task("SAC", "Pendulum-v1", 20_000, -157.0),
    Task("SAC", "MountainCarContinuous-v0", 50_000, 94.7, lower_because=NO_NOISE),
    Task("PPO", "LunarLander-v3", 1_000_000, 242.1, f"{ZOO}, LunarLander-v2", extra="box2d"),
    Task("DQN", "LunarLander-v3", 100_000, 154.4, f"{ZOO}, LunarLander-v2", extra="box2d"),
    Task("PPO", "HalfCheetah-v5", 1_000_000, 5819.1, f"{ZOO}, HalfCheetah-v3", DEVIATION, extra="mujoco"),
    Task("PPO", "Hopper-v5", 1_000_000, 2410.4, f"{ZOO}, Hopper-v3", extra="mujoco"),
    Task("PPO", "Walker2d-v5", 1_000_000, 3478.8, f"{ZOO}, Walker2d-v3", CLEANRL, extra="mujoco"),
    Task("PPO", "MiniGrid-DoorKey-5x5-v0", 100_000, 0.964, extra="minigrid"),
    Task("PPO", "ALE/Pong-v5", 1_000_000, 21.0, f"{ZOO}, after 10,000,000 env steps", TOO_SHORT, extra="atari"),
    Task("APPO", "ALE/Pong-v5", 1_000_000, 21.0, f"{ZOO}, PPO after 10,000,000 env steps", TOO_SHORT, extra="atari"),
    Task("PPO", "BipedalWalker-v3", 5_000_000, 213.3, extra="box2d"),
    Task("SAC", "HalfCheetah-v5", 300_000, 9535.5, f"{ZOO}, HalfCheetah-v3, after 1,000,000 env steps", extra="mujoco"),
    Task("SAC", "Hopper-v5", 300_000, 2325.5, f"{ZOO}, Hopper-v3, after 1,000,000 env steps", extra="mujoco"),
    Task("SAC", "BipedalWalker-v3", 300_000, 297.7, f"{ZOO}, after 500,000 env steps", extra="box2d"),
    Task("PPO", "mpe2.simple_spread_v3", 100_000, None, extra="pettingzoo"),
    Task("PPO", "envpool:CartPole-v1", 100_000, 500.0, f"{ZOO}, Gymnasium's", extra="envpool"),
    Task("SAC", "FetchReach-v4", 40_000, None, extra="robotics"),
    Task("APPO", "CartPole-v1", 400_000, 475.0, "the environment's threshold"),
    Task("IMPALA", "CartPole-v1", 400_000, 475.0, "the environment's threshold"),
)


def trained(task: Task, seed: int, cpus: int, apptainer: Path) -> dict[str, float]:
    """Train once, and evaluate: return, its standard deviation, env steps, and seconds of the training."""
    folder = RUNS / task.name / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    image = [str(apptainer), "--silent", "exec", "--bind", str(RUNS), str(task.image)]
    asked = ["train", "--env", task.env, "--algo", task.algo, "--seed", str(seed), "--results-dir", str(folder)]
    ends = ["--stop-timesteps", str(task.steps), "--stop-reward", NO_GOAL, "--num-cpus", str(cpus)]
    subprocess.run([*image, *asked, *ends], check=True, stdout=subprocess.DEVNULL)
    run = _run(folder)
    summary = json.loads((run / "summary.json").read_text())
    last = sorted((run / "checkpoints").glob("checkpoint_*"))[-1]
    # Seeds of episodes that no training has.
    judged = ["evaluate", str(last), "--episodes", str(EPISODES), "--seed", "100000", "--json"]
    told = json.loads(subprocess.run([*image, *judged], check=True, capture_output=True, text=True).stdout)
    return {
        "return": told["return_mean"],
        "std": told["return_std"],
        "env_steps": summary["env_steps"],
        "seconds": summary["time_total_s"],
    }


def _run(folder: Path) -> Path:
    [summary] = folder.rglob("summary.json")
    return summary.parent


def draw(task: Task, apptainer: Path) -> None:
    """The curves of the three runs."""
    runs = [str(_run(RUNS / task.name / str(seed))) for seed in SEEDS]
    binds = ["--bind", f"{RUNS},{CURVES}"]
    command = [str(apptainer), "--silent", "exec", *binds, str(task.image), "compare", *runs, "--out", str(task.curve)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def chosen(names: Iterable[str]) -> list[Task]:
    """The tasks of these algorithms, or of these names; all without any."""
    wanted = set(names)
    return [task for task in TASKS if not wanted or {task.algo, task.name} & wanted]


def page(record: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    lines = [
        "# Results",
        "",
        "This page compares the presets with published results. Each row has three runs with the seeds 1, 2 and 3. A",
        "run trains for the published number of env steps. Then the last checkpoint plays 100 episodes with its",
        "likeliest actions, in environments that the training has not seen. The table shows the median of the three",
        "mean returns, with minimum and maximum in brackets. A row is met if the median reaches the published return.",
        "Where none is published for the same environment, the row has a dash.",
        "`make bench-returns` measures all rows. [The records](../bench/results) have the raw figures.",
        "",
        f"The published returns come from [rl-baselines3-zoo]({ZOO_PAGE}), from one run per row, unless the",
        "row says otherwise. Times are those of the training alone; other work may have shared the cores.",
        "",
        "| algorithm | environment | env steps | return | published | met | training | cores, date |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        row = record["rows"].get(task.name)
        if row is None:
            continue
        digits = 3 if task.published and abs(task.published) <= 1 else 1
        # Without a minus before a zero.
        returns = [round(run["return"], digits) + 0.0 for run in row["runs"]]
        median = statistics.median(returns)
        env = f"[{task.env}](curves/{task.curve.name}) (`EXTRAS={task.extra}`)" if task.extra else task.env
        spread = f"{median:.{digits}f} ({min(returns):.{digits}f} to {max(returns):.{digits}f})"
        lines.append(
            f"| {task.algo} | {env} | {task.steps:,} | {spread}"
            f" | {_published(task, digits)} | {_met(task, median)}"
            f" | {statistics.median(run['seconds'] for run in row['runs']):.0f} s | {row['cpus']}, {row['date']} |"
        )
    return "\n".join(lines) + "\n"


def _published(task: Task, digits: int) -> str:
    if task.published is None:
        return "-"
    return f"{task.published:.{digits}f}" + ("" if task.source == ZOO else f" ({task.source})")


def _met(task: Task, median: float) -> str:
    if task.published is None:
        return "-"
    if median >= task.published:
        return "yes"
    return f"no: {task.lower_because}" if task.lower_because else "no"


def main() -> None:
    """Measure, record after every row, and write the page."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--cpus", type=int, default=os.cpu_count())
    asked.add_argument("names", nargs="*")
    given = asked.parse_args()
    tasks = chosen(given.names)
    found = find()
    if found is None or not all(task.image.exists() for task in tasks):
        raise SystemExit("error: this needs rl.sif and extras.sif; `make bench-returns` makes them")
    date = f"{datetime.now():%Y-%m-%d}"
    for task in tasks:
        runs = [trained(task, seed, given.cpus, found.program) for seed in SEEDS]
        records = sorted(RESULTS.glob("returns-*.json"))
        record = json.loads(records[-1].read_text()) if records else {"rows": {}}
        record["rows"][task.name] = {"date": date, "cpus": given.cpus, "runs": runs}
        print(f"{task.name}: {[round(run['return'], 1) for run in runs]}", file=sys.stderr, flush=True)
        (RESULTS / f"returns-{date}.json").write_text(json.dumps(record, indent=1) + "\n")
        PAGE.write_text(page(record))
        if task.extra:
            draw(task, found.program)


if __name__ == "__main__":
    main()
