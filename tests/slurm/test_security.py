"""One job, and what is reached of it: by others nothing; by its user its state, its logs, Ray's dashboard, its end."""

import json
import re
import shlex
import subprocess

import pytest
from cluster import CHECKOUT, CONTROLLER
from conftest import STAYS, WITH_GPU, submitting
from ports import answers

CONNECT = """
import ray
try:
    ray.init(address="{address}", log_to_driver=False, logging_level="error", _node_ip_address="{own}")
except BaseException as problem:
    print("refused:", type(problem).__name__)
else:
    print("connected")
"""


@pytest.fixture(scope="module")
def job(slurm):
    with submitting(slurm) as submit:
        job = submit("hetjob", *STAYS, sbatch=WITH_GPU, RL_DASHBOARD="1")
        job.trains()
        yield job


def test_no_port_answers_without_the_token(job, slurm):
    """A hetjob starts: Ray on four nodes, which share the cores of this machine."""
    for node in slurm.names:
        told = answers(slurm, node)
        assert told and all(answer in (401, ["UNAUTHENTICATED"]) for answer in told.values()), (node, told)


def test_other_users_cannot_enter_the_folders_of_a_job(job, slurm):
    inside = "/home/" + str(job.files.relative_to(slurm.folder / "home"))
    slurm("chmod", "755", "/home/alice")
    assert "Permission denied" in slurm("ls", inside, user="bob", check=False).stderr
    assert oct((job.files / "token").stat().st_mode)[-3:] == "600"
    for node in slurm.names:
        folders = slurm("sh", "-c", "ls -d /tmp/rl-*", node=node).stdout.split()
        assert folders
        for folder in folders:
            assert "Permission denied" in slurm("ls", folder, user="bob", node=node, check=False).stderr


def test_the_token_is_in_no_arguments_no_environment_and_no_log(job, slurm):
    token = (job.files / "token").read_text()
    assert token not in job.output
    for log in job.files.rglob("*"):
        if log.is_file() and log.name != "token":
            assert token not in log.read_text(errors="ignore"), log
    for name in slurm.names:
        processes = slurm.nodes[name].processes()
        assert processes and token not in "\n".join(processes)
        environments = slurm("sh", "-c", "cat /proc/[0-9]*/environ | tr '\\0' '\\n'", node=name, check=False).stdout
        assert "RAY_AUTH_MODE=token" in environments and token not in environments


def connect(slurm, job, user, **variables):
    """What a client on the head's node is told."""
    address = re.search(r"is up at (\S+)", job.output)[1]
    [head] = job.nodes("head")
    code = CONNECT.format(address=address, own=slurm.nodes[head].address)
    command = ("timeout", "60", "apptainer", "exec", f"{CHECKOUT}/rl.sif", "python", "-c", code)
    return slurm(*command, user=user, node=head, check=False, **variables)


@pytest.mark.parametrize("token", [None, "0" * 64])
def test_ray_refuses_a_client_without_the_token(job, slurm, token):
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}
    done = connect(slurm, job, "bob", **variables)
    assert "refused:" in done.stdout and "connected" not in done.stdout, done.stdout + done.stderr


def test_ray_takes_a_client_with_the_token(job, slurm):
    token = (job.files / "token").read_text()
    done = connect(slurm, job, "alice", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
    assert "connected" in done.stdout, done.stdout + done.stderr


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


def test_the_dashboard_opens_by_the_line_that_is_printed_and_asks_for_the_token(job, slurm, logs_in):
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


def names(slurm, token):
    """The names of the nodes of which the dashboard has figures."""
    summary = json.loads(curl(slurm, "/nodes?view=summary", token))["data"]["summary"]
    return {node["hostname"] for node in summary if node.get("cpu") is not None}


def test_roles_sit_on_their_nodes_and_rl_tells_of_a_job_and_stops_it_with_a_checkpoint(job, slurm):
    """The last of the tests of this job."""
    where = {}
    for log in job.files.glob("logs/*/*.log"):
        processes = " ".join(slurm.nodes[log.parent.name].processes())
        where.setdefault(log.stem, set()).update(re.findall(r"ray::(ArrayEnvRunner|Learner)", processes))
    assert where == {"head": set(), "rollout": {"ArrayEnvRunner"}, "learner": {"Learner"}}
    assert job.nodes("learner") == ["gpu1"]
    said = slurm(f"{CHECKOUT}/slurm/rl", "status", job.id, user="alice").stdout
    assert re.search(rf"^job {job.id}: RUNNING, training, 23:5\d:\d\d left$", said, flags=re.M), said
    assert re.search(r"^  rollout  \S+  2 CPUs, 0 GPUs$", said, flags=re.M), said
    assert re.search(r"^  iteration \d+, [\d,]+ env steps, return .* 2 env runners alive$", said, flags=re.M), said
    logs = slurm(f"{CHECKOUT}/slurm/rl", "logs", job.id, "--node", "gpu1", user="alice").stdout
    assert "learner gpu1 joined" in logs
    assert "with a checkpoint" in slurm(f"{CHECKOUT}/slurm/rl", "stop", job.id, user="alice").stdout
    job.completes()
    assert job.summary["state"] == "interrupted" and job.summary["iterations"] == len(job.rows)
    assert job.summary["stop_reason"] == "interrupted by `slurm/rl stop`; the run can be resumed"
    assert job.summary["checkpoint"].endswith(f"{len(job.rows):06d}")
