"""What the head of a job does: bring the cluster up, train on it, and end it."""

from __future__ import annotations

import faulthandler
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlsif import private_api
from rlsif.cluster import address
from rlsif.cluster.job import ENDED, FORMING, LOGS, POLL, STARTING, TRAINING, JobFolder, Rendezvous
from rlsif.cluster.ray_node import NodeShare, RayNode, connected_in_time, write_token
from rlsif.cluster.resources import Cluster
from rlsif.errors import RlsifError, counted
from rlsif.roles.member import check_gpus, keep_logs, left_when_over
from rlsif.roles.work import Work

# On the user's own machine, for Ray's dashboard.
DASHBOARD_PORT = 8265
# Of all nodes of a job without Slurm.
LOOPBACK = "127.0.0.1"
# Of a node's log, in the message that says it did not come.
LAST_LINES = 3


@dataclass(frozen=True)
class Head:
    """The head of a job, as its batch script described it."""

    job: JobFolder
    # On this node, for Ray.
    temporary: Path
    # How often Slurm has restarted the job.
    restart_count: int
    share: NodeShare
    interface: str
    # Names of the nodes that are to join, by role.
    expected: dict[str, list[str]]
    cluster: Cluster
    # When the batch script began, in seconds since the epoch.
    started: float
    # For all nodes to join.
    seconds: float
    # Where the user can log in from outside, as user@host; empty: no dashboard is wanted.
    dashboard_by: str = ""


def lead(head: Head, work: Work) -> int:
    """Bring up the cluster, do the work, and tell every node when it is over; give the work's exit code."""
    finished = work.finished()
    if finished:
        return _say_finished(finished)
    if not head.expected["learner"]:
        check_gpus(_gpus(head, work), head.share.gpus)
    with left_when_over(head.job):
        return _lead(head, work)


def _lead(head: Head, work: Work) -> int:
    write_token(head.job.token)
    peers = [node for nodes in head.expected.values() for node in nodes]
    own = address.own(head.interface, peers)
    ray_node = RayNode(head.temporary, head.share, own, dashboard=bool(head.dashboard_by))
    dashboard = about_dashboard(head, ray_node.dashboard)
    phases = Phases(head, Rendezvous(head.restart_count, FORMING, ray_node.address, _gpus(head, work), dashboard))
    try:
        phases.reached(f"head {head.share.node} is up at {ray_node.address}", FORMING)
        if dashboard:
            print(dashboard, flush=True)
        with _connected(ray_node.address, own):
            # While the others come up: refuse what cannot be right.
            finished = work.prepare(head.cluster)
            if finished:
                return _say_finished(finished)
            wait_for_nodes(head)
            phases.reached(_all_are_here(head), STARTING)
            return work.run(head.cluster, lambda: phases.reached("the first iteration is done", TRAINING))
    finally:
        phases.end()
        ray_node.stop()
        keep_logs(ray_node.logs, head.job.logs(head.share.node))


def _say_finished(folder: str) -> int:
    print(f"the run of this job is finished; see {folder}")
    return 0


def _gpus(head: Head, work: Work) -> float:
    """The GPUs that the learner is to use: those asked for, else all that its node has for the job."""
    asked = work.num_gpus()
    return head.cluster.learner_gpus if asked is None else asked


class Phases:
    """Tells the job's output and its rendezvous how far bringing up has come."""

    def __init__(self, head: Head, rendezvous: Rendezvous) -> None:
        """Begin with the head up, not yet published."""
        self._head, self._rendezvous = head, rendezvous
        # The job's output, also while a run sends to its log what libraries print.
        self._output = os.fdopen(os.dup(1), "w")

    def reached(self, what: str, state: str) -> None:
        """Say so, with the seconds since the script began, and publish it."""
        seconds = time.time() - self._head.started
        print(f"+{seconds:.1f}s {what}", file=self._output, flush=True)
        phases = {**self._rendezvous.phases, state: round(seconds, 2)}
        self._publish(replace(self._rendezvous, state=state, phases=phases))

    def end(self) -> None:
        """Tell every node that the job is over."""
        self._publish(replace(self._rendezvous, state=ENDED))

    def _publish(self, rendezvous: Rendezvous) -> None:
        """Publish it. Where the disk refuses that, no node can come; later ones hear of the end by their Ray's."""
        self._rendezvous = rendezvous
        try:
            self._head.job.publish(rendezvous)
        except OSError as problem:
            where = f"{self._head.job.path} cannot be written: {problem.strerror}"
            if rendezvous.state == FORMING:
                raise RlsifError(f"the rendezvous in {where}; RL_RUNS names another folder") from problem
            print(f"warning: {where}", file=self._output, flush=True)


@contextmanager
def _connected(ray_address: str, own: str) -> Iterator[None]:
    import ray

    if own == LOOPBACK:
        private_api.keep_loopback()
    with connected_in_time():
        private_api.init(address=ray_address, node_ip_address=own)
    # Where Slurm ends a job it ends the image's mount, too; Ray would have a dump of that be the job's last words.
    faulthandler.disable()
    try:
        yield
    finally:
        ray.shutdown()


def about_dashboard(head: Head, at: str) -> str:
    """What the user types at home to see the dashboard, which only the head's node can reach; empty for none."""
    if not at:
        return ""
    user, _, _ = head.dashboard_by.partition("@")
    tunnel = f"ssh -N -L {DASHBOARD_PORT}:{at} -J {head.dashboard_by} {user}@{head.share.node}"
    return f"dashboard: {tunnel}\n  then http://localhost:{DASHBOARD_PORT}, with the token in {head.job.token}"


def wait_for_nodes(head: Head) -> None:
    """Wait until every expected node is there with its role.

    Raises RlsifError that names what did not come in time, or has ended.
    """
    deadline = time.monotonic() + head.seconds
    while missing := _missing(head):
        ended = [(role, node) for role, node in missing if head.job.has_ended(role, node, head.restart_count)]
        logs = f"logs are in {head.job.path / LOGS}"
        if ended:
            raise RlsifError(f"while the job formed, {_last_words(head, ended)}; {logs}")
        if time.monotonic() > deadline:
            raise RlsifError(
                f"after {head.seconds:g} s the job still lacks {counted(len(missing), 'node')};"
                f" {_last_words(head, missing)}; {logs}"
            )
        time.sleep(POLL)


def _missing(head: Head) -> list[tuple[str, str]]:
    """The roles and nodes that are not there yet."""
    import ray

    alive: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    here = {(role, node["NodeName"]) for node in alive for role in node["Resources"]}
    return [(role, node) for role, nodes in head.expected.items() for node in nodes if (role, node) not in here]


def _last_words(head: Head, nodes: list[tuple[str, str]]) -> str:
    """How far each role has come on its node, and the end of its log."""
    told = []
    for role, node in nodes:
        log = head.job.log(role, node)
        said = " | ".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:]) if log.exists() else ""
        how = "ended and" if head.job.has_ended(role, node, head.restart_count) else "has not joined and"
        told.append(f"{role} {node} {how} said last: {said or 'nothing'}")
    return "; ".join(told)


def _all_are_here(head: Head) -> str:
    there = [f"{role} {' '.join(nodes)}" for role, nodes in head.expected.items() if nodes]
    return f"{', '.join(there)} joined" if there else "no other nodes to wait for"
