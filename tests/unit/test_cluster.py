import json
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from rlsif.cluster import address
from rlsif.cluster.job import ENDED, FORMING, JobFolder, Rendezvous
from rlsif.cluster.ray_node import NodeShare, started_again, write_token
from rlsif.cluster.resources import Cluster
from rlsif.errors import InputError, RlsifError
from rlsif.private_api import StartFailed
from rlsif.roles import work
from rlsif.roles.head import Head, about_dashboard
from rlsif.roles.member import check_gpus
from rlsif.training.options import TrainOptions, cluster_layout
from rlsif.training.run import continued
from rlsif.training.stopping import AtItsEnd

ROOT = Path(__file__).parents[2]
CLUSTER = Cluster(rollout_cpus=16, learner_cpus=4, learner_gpus=1)


def test_the_address_is_that_of_the_named_interface():
    assert address.own("lo", []) == "127.0.0.1"
    with pytest.raises(InputError, match=r"RL_INTERFACE is 'ib9', which has no IPv4 address here; there are .*lo"):
        address.own("ib9", [])


def test_the_address_is_the_one_towards_a_peer():
    assert address.own("", ["127.0.0.1"]) == "127.0.0.1"


@pytest.mark.fault("a node's name has an IPv6 address first", promise="Ray gets the IPv4 address")
def test_without_interface_and_peer_the_address_is_no_ipv6(monkeypatch):
    def both(host, port, family=0):
        assert family == socket.AF_INET
        return [(0, 0, 0, "", ("127.0.1.1", 0)), (0, 0, 0, "", ("10.1.2.3", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert address.own("", []) == "10.1.2.3"


def test_nodes_meet_by_the_rendezvous_of_their_own_start(tmp_path):
    job = JobFolder(tmp_path)
    job.publish(Rendezvous(0, FORMING, "10.0.0.1:1234", 0.0))
    assert job.wait_for_head(0, 1, lambda: False).address == "10.0.0.1:1234"
    with pytest.raises(RlsifError, match=r"no head came up within 0\.1 s; see its log in .*/logs"):
        job.wait_for_head(1, 0.1, lambda: False)
    assert job.wait_for_head(1, 10, lambda: True) is None
    job.publish(Rendezvous(0, ENDED, "10.0.0.1:1234", 0.0))
    with pytest.raises(RlsifError, match="no head came up"):
        job.wait_for_head(0, 0.1, lambda: False)


def test_a_stop_for_good_is_told_from_a_warning(tmp_path):
    job, stop = JobFolder(tmp_path), tmp_path / "stop"
    assert not job.stopped_for_good
    stop.touch()
    assert job.stop_is_asked_for and not job.stopped_for_good
    stop.write_text("for good\n")
    assert job.stopped_for_good


@pytest.mark.fault("the shared disk of a job refuses for a while", promise="the nodes of the job wait for it")
def test_a_disk_that_refuses_for_a_while_is_not_the_end_of_a_job(tmp_path):
    job, published = JobFolder(tmp_path), tmp_path / "cluster.json"
    assert job.rendezvous() is None
    job.publish(Rendezvous(0, FORMING, "10.0.0.1:1234", 0.0))
    known = job.rendezvous()
    published.unlink()
    # To read a folder is an OSError.
    published.mkdir()
    assert job.rendezvous() == known
    published.rmdir()
    assert job.rendezvous() is None


def test_the_dashboard_is_reached_through_the_login_node(tmp_path):
    share = NodeShare("n1", 1, 0, 1, {"head": 1})
    head = Head(JobFolder(tmp_path), tmp_path, 0, share, "", {}, CLUSTER, 0.0, 1.0, "alice@login")
    assert about_dashboard(head, "") == ""
    assert about_dashboard(head, "127.0.0.1:35251").splitlines() == [
        "dashboard: ssh -N -L 8265:127.0.0.1:35251 -J alice@login alice@n1",
        f"  then http://localhost:8265, with the token in {tmp_path}/token",
    ]


@pytest.mark.fault("a node reads the rendezvous while it is written", promise="it waits for the whole file")
def test_a_rendezvous_that_is_cut_short_is_none(tmp_path):
    (tmp_path / "cluster.json").write_text('{"restart_count": 0, "sta')
    assert JobFolder(tmp_path).rendezvous() is None


def test_the_token_is_for_its_user_alone(tmp_path, monkeypatch):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")
    job = JobFolder(tmp_path)
    write_token(job.token)
    assert job.token.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch("[0-9a-f]{64}", job.token.read_text())


def test_a_learner_uses_one_gpu_of_its_node():
    many, none = replace(CLUSTER, learner_gpus=4), replace(CLUSTER, learner_gpus=0)
    assert [cluster_layout(TrainOptions(), each, 8).num_gpus for each in (many, none)] == [1.0, 0.0]
    with pytest.raises(InputError, match="--num-gpus is 1, but the learner node has 0; give it one, by --gres=gpu:1"):
        cluster_layout(TrainOptions(num_gpus=1), none, 8)


def test_every_rollout_core_gets_an_env_runner():
    layout = cluster_layout(TrainOptions(), CLUSTER, 8)
    assert (layout.num_env_runners, layout.num_gpus, layout.learner_threads, layout.by_role) == (16, 1.0, 4, True)
    assert cluster_layout(TrainOptions(num_cpus=5, num_gpus=0), CLUSTER, 8).num_env_runners == 4


@pytest.mark.parametrize(
    "options, said",
    [
        (TrainOptions(num_env_runners=17), "--num-env-runners is 17 and the rollout nodes have 16 CPUs"),
        (TrainOptions(num_env_runners=0), "--num-env-runners is 0 and"),
        (TrainOptions(local_mode=True), "--local-mode is for one process"),
    ],
)
def test_more_than_the_job_has_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        cluster_layout(options, CLUSTER, 8)


@pytest.mark.fault("Slurm starts a job again", promise="the job resumes its run")
def test_a_restarted_job_resumes_its_run(tmp_path):
    job, options = JobFolder(tmp_path), TrainOptions(env="E-v0")
    run = tmp_path / "run of it"
    assert continued(options, job) == options
    (run / "checkpoints/checkpoint_000002").mkdir(parents=True)
    job.run.write_text(str(run))
    assert continued(options, job) == options
    (run / "checkpoints/checkpoint_000002/manifest.json").write_text("{}")
    assert continued(options, job).resume == run
    (run / "summary.json").write_text(json.dumps({"state": "finished"}))
    assert continued(options, job) is None


@pytest.mark.fault("Slurm starts a job again that has finished", promise="nothing is trained again")
def test_a_job_that_came_to_its_end_and_no_further_is_finished(tmp_path, monkeypatch):
    def at_its_end(*_):
        raise AtItsEnd("the run is already at its end")

    monkeypatch.setattr(work, "make_plan", at_its_end)
    job = JobFolder(tmp_path)
    training = work.Training(TrainOptions(env="E-v0"), job)
    with pytest.raises(InputError, match="already at its end"):
        training.prepare(CLUSTER)
    job.run.write_text("/the/run")
    assert training.prepare(CLUSTER) == "/the/run"


def test_gpus_are_looked_for_only_where_some_are_wanted():
    check_gpus(0, 0)
    with pytest.raises(
        RlsifError, match="the learner wants 2 GPUs and its allocation has 1; give it more, by --gres=gpu:1"
    ):
        check_gpus(2, 1)


@pytest.mark.parametrize("script, groups", [("hetjob", 3), ("multinode", 1), ("node", 1)])
def test_the_scripts_ask_slurm_for_what_a_job_needs(script, groups):
    text = (ROOT / f"slurm/{script}.sh").read_text()
    lines = re.findall(r"^#SBATCH (.*)$", text, flags=re.M)
    assert lines.count("hetjob") == groups - 1
    first = " ".join(lines[: lines.index("hetjob")] if groups > 1 else lines)
    for option in ("--requeue", "--signal=B:USR1@120", "--open-mode=append", "--output=rl-%j.out"):
        assert option in first
    assert " ".join(lines).count("--ntasks-per-node=1") == groups


@pytest.mark.fault(
    "Ray does not come up, for the node is busy or reads a slow disk", promise="it is started again, three times in all"
)
@pytest.mark.parametrize("failures", [0, 2, 3])
def test_ray_is_started_again(failures, capsys):
    left = iter([StartFailed("Ray did not come up on this node: it timed out")] * failures)

    def start():
        for problem in left:
            raise problem
        return "up"

    if failures == 3:
        with pytest.raises(StartFailed, match="Ray did not come up on this node"):
            started_again(start)
    else:
        assert started_again(start) == "up"
    assert capsys.readouterr().out.count("it timed out; it is started again\n") == min(failures, 2)


def test_a_head_that_is_gone_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        assert address.answers(place, 5)
    assert not address.answers(place, 0.2)
