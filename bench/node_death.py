"""Measure what the death of a rollout node costs a run: env-steps/s before, during and after it.

`make bench-node-death` runs it, as root, on a Slurm of this machine's own; `python -m bench.node_death 1` one round.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tests.slurm.cluster import CHECKOUT, Cluster

from bench.cluster import USER, booted
from bench.report import write

ROUNDS = 3
# Each of the three rates is that of so many seconds.
SECONDS = 20
TRAIN = ["--env", "CartPole-v1", "--num-gpus", "0", "--stop-iters", "1000000000"]
# Slurm takes a node of a hetjob for dead only after some minutes; until then the job is what is measured.
JOBS = {
    "`slurm/hetjob.sh`, one of two rollout nodes": ["hetjob", ":", "--nodes=2", ":", "--gres=none"],
    "`slurm/multinode.sh`, one of three nodes": ["multinode", "--nodes=3"],
}


def submission(job: list[str]) -> list[str]:
    """What is given to sbatch: nodes of one core, two where learner and env runners share them."""
    script, *options = job
    cores = f"--cpus-per-task={1 if script == 'hetjob' else 2}"
    words = [cores, *(word for option in options for word in ([option, cores] if option == ":" else [option]))]
    return [*words, f"{CHECKOUT}/slurm/{script}.sh", *TRAIN]


class Run:
    """A job that trains, and how many env steps it has made."""

    def __init__(self, cluster: Cluster, job: list[str]) -> None:
        """Submit it and wait until it trains."""
        self._cluster = cluster
        variables = {"RL_IMAGE_GPU": f"{CHECKOUT}/rl.sif", "RL_BIND": os.environ.get("RL_BIND", "")}
        where = f"--chdir=/home/{USER}"
        said = cluster("sbatch", "--parsable", where, *submission(job), user=USER, **variables).stdout
        self.id = said.split(";")[0].strip()
        self.files = cluster.folder / "home" / USER / "runs" / self.id
        cluster.wait_until(lambda: self.steps() > 50_000, 600, f"job {self.id} trains: {job}")

    def steps(self) -> int:
        """The env steps so far."""
        try:
            run = self._cluster.folder / "home" / Path((self.files / "run").read_text()).relative_to("/home")
            lines = (run / "result.json").read_text().splitlines()
            return int(json.loads(lines[-1])["num_env_steps_sampled_lifetime"])
        except (OSError, ValueError, IndexError):
            return 0

    def rate(self) -> float:
        """Env steps a second, from now on."""
        began, before = time.monotonic(), self.steps()
        time.sleep(SECONDS)
        return (self.steps() - before) / (time.monotonic() - began)

    def last_rollout_node(self) -> str:
        """The node that is to die."""
        return max(log.parent.name for log in self.files.glob("logs/*/rollout.log"))

    def end(self) -> None:
        """Cancel it."""
        self._cluster("scancel", "--full", self.id, check=False)


def measured(cluster: Cluster, job: list[str]) -> dict[str, float]:
    """The three rates of one run."""
    run = Run(cluster, job)
    victim = run.last_rollout_node()
    try:
        before = run.rate()
        cluster.nodes[victim].power_off()
        return {"before": before, "during": run.rate(), "after": run.rate()}
    finally:
        run.end()
        cluster.miss(victim)
        cluster.nodes[victim].boot()
        cluster.wait_until(lambda: cluster.idle() >= set(cluster.names), 120, "all nodes are idle")


def measure(cluster: Cluster, rounds: int, say: Callable[[str], None]) -> dict[str, dict[str, list[float]]]:
    """Job -> before, during, after -> env-steps/s of all rounds; the jobs run in turn."""
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in JOBS}
    for _ in range(rounds):
        for name, job in JOBS.items():
            for when, rate in measured(cluster, job).items():
                figures[name].setdefault(when, []).append(rate)
            say(f"{name}: {figures[name]}")
    return figures


def main() -> None:
    """Boot the cluster, measure, record."""
    load, rounds = os.getloadavg()[0], int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with booted(cpu_nodes=2) as cluster:
        figures = measure(cluster, rounds, lambda text: print(text, file=sys.stderr, flush=True))
    machine = {"cpus": os.cpu_count(), "load_before": load}
    write({"date": f"{datetime.now():%Y-%m-%d}", "machine": machine, "node_death": figures}, "node-death")


if __name__ == "__main__":
    main()
