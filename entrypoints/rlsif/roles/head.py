"""What the head of a job does: bring the cluster up, train on it, and end it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlsif.cluster import address
from rlsif.cluster.job import ENDED, FORMING, POLL, TRAINING, JobFolder, Rendezvous
from rlsif.cluster.ray_node import NodeShare, RayNode, write_token
from rlsif.cluster.resources import Cluster
from rlsif.errors import RlsifError
from rlsif.roles.member import keep_logs
from rlsif.roles.work import Work

# Of a node's log, in the message that says it did not come.
LAST_LINES = 3


@dataclass(frozen=True)
class Head:
    """The head of a job, as its batch script described it."""

    job: JobFolder
    # On this node, for Ray.
    temporary: Path
    life: int
    node: str
    share: NodeShare
    interface: str
    # Names of the nodes that are to join, by role.
    expected: dict[str, list[str]]
    cluster: Cluster
    # When the batch script began, in seconds since the epoch.
    started: float
    # For all nodes to join.
    seconds: float


def lead(head: Head, work: Work) -> int:
    """Bring up the cluster, do the work, and tell every node when it is over; give the work's exit code."""
    finished = work.finished()
    if finished:
        print(f"the run of this job is finished; see {finished}")
        return 0
    write_token(head.job.token)
    peers = [node for nodes in head.expected.values() for node in nodes]
    own = address.own(head.interface, peers)
    ray_node = RayNode(head.temporary, head.share, own)
    phases = Phases(head, Rendezvous(head.life, FORMING, ray_node.address, _gpus(head, work)))
    try:
        phases.reached(f"head {head.node} is up at {ray_node.address}", FORMING)
        with _connected(ray_node.address, own):
            # While the others come up: refuse what cannot be right.
            work.prepare(head.cluster)
            wait_for_nodes(head)
            phases.reached(_all_are_here(head), TRAINING)
            return work.run(head.cluster)
    finally:
        phases.end()
        ray_node.stop()
        keep_logs(ray_node.logs, head.job.logs(head.node))


def _gpus(head: Head, work: Work) -> float:
    """The GPUs that the learner is to use: those asked for, else all that its node has for the job."""
    asked = work.num_gpus()
    return head.cluster.learner_gpus if asked is None else asked


class Phases:
    """Tells the job's output and its rendezvous how far bringing up has come."""

    def __init__(self, head: Head, rendezvous: Rendezvous) -> None:
        """Begin with the head up, not yet published."""
        self._head, self._rendezvous = head, rendezvous

    def reached(self, what: str, state: str) -> None:
        """Say so, with the seconds since the script began, and publish it."""
        seconds = time.time() - self._head.started
        print(f"+{seconds:.1f}s {what}", flush=True)
        phases = {**self._rendezvous.phases, state: round(seconds, 2)}
        self._rendezvous = replace(self._rendezvous, state=state, phases=phases)
        self._head.job.publish(self._rendezvous)

    def end(self) -> None:
        """Tell every node that the job is over."""
        self._head.job.publish(replace(self._rendezvous, state=ENDED))


@contextmanager
def _connected(ray_address: str, own: str) -> Iterator[None]:
    import ray

    ray.init(address=ray_address, _node_ip_address=own, log_to_driver=True, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()


def wait_for_nodes(head: Head) -> None:
    """Wait until every expected node is there with its role. Raises RlsifError that names what did not come."""
    deadline = time.monotonic() + head.seconds
    while missing := _missing(head):
        if time.monotonic() > deadline:
            raise RlsifError(
                f"after {head.seconds:g} s the job still lacks {_in_words(missing)};"
                f" {_last_lines(head.job, missing)}logs are in {head.job.path / 'logs'}"
            )
        time.sleep(POLL)


def _missing(head: Head) -> dict[str, int]:
    """How many nodes of each role are not there yet."""
    import ray

    alive: list[dict[str, Any]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    # Where there is no learner node, the head has roles, too.
    alive = [node for node in alive if "node:__internal_head__" not in node]
    counts = {role: len(nodes) - sum(role in node for node in alive) for role, nodes in head.expected.items()}
    return {role: count for role, count in counts.items() if count > 0}


def _in_words(missing: dict[str, int]) -> str:
    return " and ".join(f"{count} {role} node{'s' * (count > 1)}" for role, count in missing.items())


def _last_lines(job: JobFolder, missing: dict[str, int]) -> str:
    """The ends of the logs of the nodes that have not said that they joined."""
    told = []
    for log in sorted(job.path.glob("logs/*/*.log")):
        lines = log.read_text(errors="replace").splitlines()
        if log.stem in missing and not any(" joined " in line for line in lines):
            told.append(f"{log.stem} {log.parent.name} said last: {' | '.join(lines[-LAST_LINES:]) or 'nothing'}; ")
    return "".join(told)


def _all_are_here(head: Head) -> str:
    return ", ".join(f"{role} {' '.join(nodes)}" for role, nodes in head.expected.items() if nodes) + " joined"
