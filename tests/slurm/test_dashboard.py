"""Ray's dashboard, for the user alone."""

import json
import re
import shlex
import subprocess

import pytest
from cluster import CHECKOUT, CONTROLLER
from conftest import HETJOB, STAYS
from ports import answers


@pytest.fixture
def logs_in(slurm):
    """Let alice log in by ssh from one node to another, without being asked."""
    home = slurm.folder / "home/alice"
    slurm("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/home/alice/.ssh/id_ed25519", user="alice")
    slurm("cp", "/home/alice/.ssh/id_ed25519.pub", "/home/alice/.ssh/authorized_keys", user="alice")
    config = home / ".ssh/config"
    config.write_text("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n")
    slurm("chown", "alice:", "/home/alice/.ssh/config")


def curl(slurm, path, token=None):
    """What the user's own machine is told by the dashboard."""
    with_token = ("-H", f"Authorization: Bearer {token}") if token else ()
    return slurm("curl", "-s", "--max-time", "10", *with_token, f"http://localhost:8265{path}", check=False).stdout


def test_the_dashboard_opens_by_the_line_that_is_printed_and_asks_for_the_token(submit, slurm, logs_in):
    job = submit("hetjob", *STAYS, sbatch=HETJOB, RL_DASHBOARD="1")
    job.trains()
    [line] = re.findall(
        r"^dashboard: (ssh -N -L 8265:127\.0\.0\.1:\d+ -J alice@ctl alice@\w+)$", job.output, flags=re.M
    )
    said = slurm(f"{CHECKOUT}/slurm/rl", "status", job.id, user="alice").stdout
    assert (
        f"  dashboard: {line}\n" in said
        and f"with the token in /home/alice/{job.folder.name}/runs/{job.id}/token" in said
    )
    tunnel = subprocess.Popen([*slurm.nodes[CONTROLLER].enter("alice"), *shlex.split(line)], stdin=subprocess.DEVNULL)
    try:
        slurm.wait_until(lambda: curl(slurm, "/"), 30, "the tunnel is there")
        assert "Missing authentication token" in curl(slurm, "/nodes?view=summary")
        token = (job.files / "token").read_text()
        slurm.wait_until(lambda: names(slurm, token) == set(slurm.names), 30, "every node tells of itself")
    finally:
        slurm("pkill", "-f", "^ssh -N -L", user="alice")
        tunnel.wait(timeout=20)
    for node in slurm.names:
        told = answers(slurm, node)
        assert all(answer in (401, ["UNAUTHENTICATED"]) for answer in told.values()), (node, told)


def names(slurm, token):
    """The names of the nodes of which the dashboard has figures."""
    summary = json.loads(curl(slurm, "/nodes?view=summary", token))["data"]["summary"]
    return {node["hostname"] for node in summary if node.get("cpu") is not None}
