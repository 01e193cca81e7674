"""What other users reach of a job: nothing."""

import re

import pytest
from cluster import CHECKOUT
from conftest import HETJOB, STAYS, submitting
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
        job = submit("hetjob", *STAYS, sbatch=HETJOB)
        job.trains()
        yield job


def test_no_port_answers_without_the_token(job, slurm):
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
