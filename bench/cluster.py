"""Measure how long a cluster takes to come up on a Slurm of this machine's own, beside the way of Ray's guide.

`make bench-cluster` runs it, as root. Ours and the peer's run in turn, with one env runner a rollout node.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tests.slurm.cluster import CHECKOUT, Cluster

from bench.report import write
from rlsif.images.apptainer import find

ROOT = Path(__file__).parents[1]
ROLLOUT_NODES = (1, 2, 4, 8)
ROUNDS = 3
USER = "alice"
# What the job's output says, with the seconds since the batch script began.
PHASES = {"joined": r"joined", "first_iteration": r"the first iteration is done"}
SMALL = ["--set", "train_batch_size=400", "--set", "minibatch_size=100", "--set", "num_epochs=2"]
TRAIN = ["--env", "CartPole-v1", "--num-gpus", "0", "--stop-iters", "1", *SMALL]


def ours(nodes: int) -> list[str]:
    """Head, rollout nodes and learner, by slurm/hetjob.sh."""
    group = "--cpus-per-task=1"
    return [group, ":", group, f"--nodes={nodes}", ":", group, "--gres=none", f"{CHECKOUT}/slurm/hetjob.sh", *TRAIN]


def guide(nodes: int) -> list[str]:
    """The same number of nodes, by the scripts of Ray's guide."""
    peers = f"{CHECKOUT}/bench/peers"
    return [
        f"--nodes={nodes + 2}",
        f"{peers}/slurm_guide.sh",
        f"{CHECKOUT}/rl.sif",
        f"{peers}/rllib_first_iteration.py",
    ]


WAYS = {"`slurm/hetjob.sh`": ours, "Ray's guide for Slurm": guide}


def brought_up(cluster: Cluster, submission: list[str]) -> dict[str, float]:
    """Submit, wait for the first iteration, and give the seconds of each phase."""
    image = f"{CHECKOUT}/rl.sif"
    variables = {"RL_IMAGE_GPU": image, "RL_BIND": os.environ.get("RL_BIND", "")}
    where = f"--chdir=/home/{USER}"
    job = cluster("sbatch", "--parsable", where, *submission, user=USER, **variables).stdout.split(";")[0].strip()
    output = cluster.folder / "home" / USER / f"rl-{job}.out"

    def told() -> dict[str, float]:
        text = output.read_text() if output.exists() else ""
        found = {name: re.search(rf"^\+([\d.]+)s .*{what}$", text, flags=re.M) for name, what in PHASES.items()}
        return {name: float(match[1]) for name, match in found.items() if match}

    cluster.wait_until(lambda: len(told()) == len(PHASES), 300, f"job {job} trains: {submission}")
    cluster("scancel", "--full", job, check=False)
    for name in cluster.names:
        # The peer's Ray takes half a minute to end.
        cluster("pkill", "-KILL", "-u", USER, node=name, check=False)
    cluster.wait_until(lambda: cluster.idle() >= set(cluster.names), 120, "all nodes are idle")
    for name in cluster.names:
        cluster("sh", "-c", "rm -rf /tmp/ray", node=name)
    return told()


def measure(cluster: Cluster) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Rollout nodes -> way -> phase -> seconds of all rounds."""
    figures: dict[str, dict[str, dict[str, list[float]]]] = {}
    for nodes in ROLLOUT_NODES:
        ways = figures.setdefault(str(nodes), {way: {phase: [] for phase in PHASES} for way in WAYS})
        for _ in range(ROUNDS):
            for way, submission in WAYS.items():
                for phase, seconds in brought_up(cluster, submission(nodes)).items():
                    ways[way][phase].append(seconds)
        medians = {way: [statistics.median(values) for values in ways[way].values()] for way in ways}
        print(f"{nodes} rollout nodes: {medians}", file=sys.stderr, flush=True)
    return figures


@contextlib.contextmanager
def booted(cpu_nodes: int) -> Iterator[Cluster]:
    """A cluster that is up, and gone afterwards. Raises SystemExit where that cannot be."""
    found = find()
    if os.geteuid() != 0 or found is None or not (ROOT / "rl.sif").exists():
        raise SystemExit("error: this needs root, for the nodes of a cluster, and what `make image-cpu` makes")
    with tempfile.TemporaryDirectory(prefix="rlsif-bench-") as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder), ROOT, found.program, cpu_nodes=cpu_nodes)
        try:
            cluster.boot()
            yield cluster
        finally:
            cluster.shut_down()


def main() -> None:
    """Boot the cluster, measure, record."""
    with booted(max(ROLLOUT_NODES)) as cluster:
        figures = measure(cluster)
    record = {"date": f"{datetime.now():%Y-%m-%d}", "machine": {"cpus": os.cpu_count()}, "bring_up": figures}
    write(record, "cluster")


if __name__ == "__main__":
    main()
