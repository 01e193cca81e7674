"""Train with the presets for as many env steps as others publish, and hold the returns against theirs.

`make bench-returns` runs it; `python -m bench.returns DQN SAC/Pendulum-v1` only some, beside what the last record has.
Three seeds each, then a hundred deterministic episodes of the agent as it is at the end. Writes docs/results.md.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import RESULTS
from rlsif.images.apptainer import find

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results.md"
SEEDS = (1, 2, 3)
EPISODES = 100
# Never reached, so that every run has all of its env steps.
NO_GOAL = "1e9"
ZOO = "rl-baselines3-zoo"
ZOO_PAGE = "https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md"

NO_NOISE = "it has no preset; without noise that lasts for many env steps, as the published run has, it sees no goal"


class Task(NamedTuple):
    """A training of so many env steps; the return that is published for them, and where; why ours is lower."""

    algo: str
    env: str
    steps: int
    published: float
    source: str = ZOO
    lower_because: str = ""

    @property
    def name(self) -> str:
        """As typed."""
        return f"{self.algo}/{self.env}"


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
    Task("APPO", "CartPole-v1", 400_000, 475.0, "the environment's threshold"),
    Task("IMPALA", "CartPole-v1", 400_000, 475.0, "the environment's threshold"),
)


def trained(task: Task, seed: int, apptainer: Path) -> dict[str, float]:
    """Train once, and evaluate: return, its standard deviation, env steps, and seconds of the training."""
    with tempfile.TemporaryDirectory(prefix="rlsif-returns-") as folder:
        image = [str(apptainer), "--silent", "exec", "--bind", folder, str(ROOT / "rl.sif")]
        asked = ["train", "--env", task.env, "--algo", task.algo, "--seed", str(seed), "--results-dir", folder]
        stops = ["--stop-timesteps", str(task.steps), "--stop-reward", NO_GOAL]
        subprocess.run([*image, *asked, *stops], check=True, stdout=subprocess.DEVNULL)
        [run] = Path(folder).glob("*/*")
        summary = json.loads((run / "summary.json").read_text())
        last = sorted((run / "checkpoints").glob("checkpoint_*"))[-1]
        # Seeds of episodes that no training has.
        judged = ["evaluate", str(last), "--episodes", str(EPISODES), "--seed", "100000"]
        said = subprocess.run([*image, *judged], check=True, capture_output=True, text=True).stdout
    found = re.search(r"^return +mean (\S+) +std (\S+)", said, flags=re.M)
    assert found, said
    return {
        "return": float(found[1].replace(",", "")),
        "std": float(found[2].replace(",", "")),
        "env_steps": summary["env_steps"],
        "seconds": summary["time_total_s"],
    }


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
        # Without a minus before a zero.
        returns = [round(run["return"], 1) + 0.0 for run in row["runs"]]
        median = statistics.median(returns)
        source = "" if task.source == ZOO else f" ({task.source})"
        lines.append(
            f"| {task.algo} | {task.env} | {task.steps:,} | {median:.1f} ({min(returns):.1f} to {max(returns):.1f})"
            f" | {task.published:.1f}{source} | {'yes' if median >= task.published else _no(task)}"
            f" | {statistics.median(run['seconds'] for run in row['runs']):.0f} s | {row['cpus']}, {row['date']} |"
        )
    return "\n".join(lines) + "\n"


def _no(task: Task) -> str:
    return f"no: {task.lower_because}" if task.lower_because else "no"


def main() -> None:
    """Measure, record after every row, and write the page."""
    found = find()
    if found is None or not (ROOT / "rl.sif").exists():
        raise SystemExit("error: this needs what `make image-cpu` makes")
    records = sorted(RESULTS.glob("returns-*.json"))
    record = json.loads(records[-1].read_text()) if records else {"rows": {}}
    date = f"{datetime.now():%Y-%m-%d}"
    for task in chosen(sys.argv[1:]):
        runs = [trained(task, seed, found.program) for seed in SEEDS]
        record["rows"][task.name] = {"date": date, "cpus": os.cpu_count(), "runs": runs}
        print(f"{task.name}: {[round(run['return'], 1) for run in runs]}", file=sys.stderr, flush=True)
        (RESULTS / f"returns-{date}.json").write_text(json.dumps(record, indent=1) + "\n")
        PAGE.write_text(page(record))


if __name__ == "__main__":
    main()
