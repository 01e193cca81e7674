import json
import shlex
import subprocess
from pathlib import Path

import pytest

from rlsif.cluster.job import TRAINING, JobFolder, Rendezvous
from rlsif.errors import InputError, counted
from rlsif.slurm import labels, local
from rlsif.slurm.folder import check_forgotten, check_number, of_job, stop
from rlsif.slurm.planning import doubt, nodes
from rlsif.slurm.scontrol import groups
from rlsif.slurm.status import describe
from rlsif.slurm.submission import Submission, line, read_site

ROOT = Path("/opt/a checkout")
NOTHING = Submission("hetjob", None, None, None, None)
SAID = """JobId=7 HetJobId=7 HetJobOffset=0 JobName=rl
   JobState=RUNNING Reason=None RunTime=01:00:05 TimeLimit=1-00:00:00
   NodeList=n1 NumNodes=1 NumCPUs=2 AllocTRES=cpu=2

JobId=8 HetJobId=7 HetJobOffset=1 JobName=rl
   JobState=RUNNING Reason=None RunTime=01:00:05 TimeLimit=1-00:00:00
   NodeList=n[2-3] NumNodes=2 NumCPUs=16 AllocTRES=cpu=16

JobId=9 HetJobId=7 HetJobOffset=2 JobName=rl
   JobState=RUNNING Reason=None RunTime=01:00:05 TimeLimit=1-00:00:00
   NodeList=g1 NumNodes=1 NumCPUs=4 AllocTRES=cpu=4,gres/gpu=1
"""


@pytest.mark.parametrize(
    "asked, site, train, golden",
    [
        (NOTHING, {}, ["--env", "CartPole-v1"], "sbatch : : '/opt/a checkout/slurm/hetjob.sh' --env CartPole-v1"),
        (
            Submission("hetjob", 8, 36, 2, "12:00:00"),
            {"": {"account": "x"}, "learner": {"partition": "gpu"}},
            ["--algo", "APPO"],
            "sbatch --account=x --time=12:00:00 : --account=x --nodes=8 --cpus-per-task=36 :"
            " --account=x --partition=gpu --gres=gpu:2 '/opt/a checkout/slurm/hetjob.sh' --algo APPO",
        ),
        (
            Submission("hetjob", None, None, 0, None),
            {},
            [],
            "sbatch : : --gres=none '/opt/a checkout/slurm/hetjob.sh'",
        ),
        (
            Submission("hetjob", None, None, 2, None),
            {"": {"exclusive": None}, "learner": {"gres": "gpu:a100:1"}},
            [],
            "sbatch --exclusive : --exclusive : --exclusive --gres=gpu:a100:2 '/opt/a checkout/slurm/hetjob.sh'",
        ),
        (
            Submission("rollout", 8, 36, None, None),
            {"rollout": {"partition": "preempted"}},
            ["123"],
            "sbatch --partition=preempted --nodes=8 --cpus-per-task=36 '/opt/a checkout/slurm/rollout.sh' 123",
        ),
        (
            Submission("multinode", 3, None, None, None),
            {"": {"partition": "p"}},
            ["--env", "my env"],
            "sbatch --partition=p --nodes=3 '/opt/a checkout/slurm/multinode.sh' --env 'my env'",
        ),
        (
            Submission("node", None, None, None, None, dashboard=True),
            {},
            [],
            "env RL_DASHBOARD=1 sbatch '/opt/a checkout/slurm/node.sh'",
        ),
        (Submission("node", None, None, 1, None), {}, [], "sbatch --gres=gpu:1 '/opt/a checkout/slurm/node.sh'"),
    ],
)
def test_the_line_for_sbatch(asked, site, train, golden):
    assert line(asked, site, ROOT, train) == golden


@pytest.mark.parametrize(
    "given, message",
    [
        (
            ("hetjobs", None, None, None, None),
            "script 'hetjobs' is not one of hetjob, multinode, node, rollout; did you",
        ),
        (
            ("node", None, 4, None, None),
            "not for node, which takes the whole of one; a part of it is `multinode --roll",
        ),
        (("rollout", None, None, 1, None), "--gpus is for learners; the nodes of rollout have none"),
        (("rollout", None, None, None, None, True), "--dashboard is for the job that nodes are lent to"),
    ],
)
def test_what_cannot_be_right_is_told(given, message):
    with pytest.raises(InputError, match=message):
        Submission(*given)


def test_a_sites_options_are_read_by_group(tmp_path):
    conf = tmp_path / "site.conf"
    conf.write_text("# ours\naccount = x\nexclusive\nlearner.gres = gpu:a100:1  # one\n\n")
    assert read_site(conf) == {"": {"account": "x", "exclusive": None}, "learner": {"gres": "gpu:a100:1"}}
    assert read_site(tmp_path / "none.conf") == {}


def test_an_option_that_contradicts_those_of_the_scripts_is_told(tmp_path):
    conf = tmp_path / "site.conf"
    conf.write_text("mem = 4G\n")
    with pytest.raises(InputError, match="Slurm takes mem-per-cpu, which the scripts have, or mem"):
        read_site(conf)


@pytest.mark.parametrize("train", [[], ["--env", "CartPole-v1"], ["1", "2"]])
def test_nodes_are_lent_to_one_job(train):
    with pytest.raises(InputError, match=r"rollout takes the number of a job after --, not .*; as in `rollout -- 123`"):
        line(Submission("rollout", None, None, None, None), {}, ROOT, train)


@pytest.mark.parametrize("text", ["account", "account =", "gpu.partition = x"])
def test_a_line_of_a_site_that_says_nothing_is_told(tmp_path, text):
    conf = tmp_path / "site.conf"
    conf.write_text(f"partition = a\n{text}\n")
    with pytest.raises(InputError, match=r"site\.conf line 2 is '.*'; it must be as `account = x`"):
        read_site(conf)


def test_status_names_roles_nodes_and_time(tmp_path):
    folder, run = tmp_path / "7", tmp_path / "run"
    folder.mkdir()
    run.mkdir()
    (folder / "run").write_text(str(run))
    row = '{"training_iteration": 3, "num_env_steps_sampled_lifetime": 6000, "env_steps_per_s": 1234.5,'
    row += ' "num_healthy_workers": 16, "env_runners/episode_return_mean": 42.25}\n{"half'
    (run / "result.json").write_text(row)
    said = describe(groups(SAID, "7"), folder)
    assert said.splitlines()[0] == "job 7: RUNNING, 22:59:55 left"
    assert "  rollout  n[2-3]  16 CPUs, 0 GPUs" in said and "  learner  g1  4 CPUs, 1 GPU" in said
    assert "iteration 3, 6,000 env steps, return 42.2, 1,234 steps/s, 16 env runners alive" in said
    (run / "summary.json").write_text('{"state": "finished", "stop_reason": "3 iterations"}')
    assert "return 42.2, 1,234 steps/s\n  run " in describe(groups(SAID, "7"), folder)


def test_status_has_the_last_evaluation_of_what_samples_nothing(tmp_path):
    (tmp_path / "run").write_text(str(tmp_path))
    rows = [{"training_iteration": n, "num_env_steps_sampled_lifetime": 9, "env_steps_per_s": 9.0} for n in (1, 2)]
    rows[0]["evaluation/episode_return_mean"] = 7.0
    (tmp_path / "result.json").write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert "iteration 2, 9 env steps, return 7.0, 9 steps/s\n" in describe(groups(SAID, "7"), tmp_path)


@pytest.mark.parametrize(
    "fields, gpus",
    [
        ("AllocTRES=cpu=4,gres/gpu:a100=2,gres/gpu=2", 2),
        ("AllocTRES=cpu=4 TresPerNode=gres/gpu:a100:2", 2),
        ("AllocTRES=cpu=4 TresPerNode=gpu:1", 1),
        ("AllocTRES=cpu=4 TresPerJob=gres/gpu", 1),
        ("AllocTRES=cpu=4 TresPerTask=cpu=2,gres/gpu=3", 3),
        ("AllocTRES=cpu=4 TresPerNode=(null)", 0),
    ],
)
def test_status_counts_gpus_as_a_site_tells_them(tmp_path, fields, gpus):
    said = describe(groups(f"JobId=7 JobState=RUNNING NodeList=n1 NumNodes=1 NumCPUs=4 {fields}", "7"), tmp_path)
    assert f" n1  4 CPUs, {counted(gpus, 'GPU')}" in said


def test_status_tells_of_one_job_of_an_array():
    said = "JobId=8 ArrayJobId=7 JobState=PENDING\n\nJobId=7 ArrayJobId=7 JobState=RUNNING\n"
    assert [fields["JobId"] for fields in groups(said, "7")] == ["7"]


@pytest.mark.fault("Slurm has forgotten a job", promise="`slurm/rl status` tells of it by the job's own files")
def test_status_of_a_job_that_slurm_has_forgotten(tmp_path):
    folder, run = tmp_path / "7", tmp_path / "run"
    folder.mkdir()
    run.mkdir()
    assert describe(groups("", "7"), folder).splitlines() == [
        "job 7: over",
        f"  no run yet; logs are in {folder / 'logs'}",
    ]
    (folder / "run").write_text(str(run))
    (run / "summary.json").write_text('{"state": "failed", "stop_reason": "failed: the learner\'s process ended"}')
    assert describe([], folder).splitlines()[1:] == [
        f"  no iteration yet; run {run}, failed: the learner's process ended"
    ]


def test_status_says_how_to_open_the_dashboard(tmp_path):
    JobFolder(tmp_path).publish(Rendezvous(0, TRAINING, "10.0.0.1:1", 0.0, dashboard="dashboard: ssh\n  then x"))
    assert "\n  dashboard: ssh\n    then x\n" in describe(groups(SAID, "7"), tmp_path)


def test_the_host_script_tells_of_a_missing_image_and_of_itself():
    script = Path(__file__).parents[2] / "slurm/rl"
    environment = {"PATH": "/usr/bin:/bin", "RL_IMAGE": "/no.sif"}
    done = subprocess.run([script, "status", "x"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "error: image /no.sif is not there" in done.stderr


PLAIN = "cpu1|main*|(null)|1\ncpu2|main*|(null)|1\ncpu3|main*|(null)|1\n"
GPU = "gpu1|main*|gpu:a100:1|{}\ngpu1|gpu|gpu:a100:1|{}\n"


@pytest.mark.fault(
    "Slurm would plan the rollout group on the only GPU node",
    promise="`slurm/rl submit` says so before the job waits, with the two ways out",
)
def test_a_plan_that_takes_the_learners_only_node_is_told_with_the_ways_out():
    said = doubt(NOTHING, {}, nodes(PLAIN + GPU.format(1, 1)))
    assert said == (
        "Slurm may plan the rollout group on gpu1, the only node with GPUs in partition main, and the learner would"
        " wait indefinitely; name a partition for each group in slurm/site.conf, as in `rollout.partition = cpu` and"
        " `learner.partition = gpu`, or have administrators give that node a higher Weight than nodes without GPUs"
    )


@pytest.mark.parametrize(
    "asked, site, there",
    [
        (NOTHING, {}, PLAIN + GPU.format(10, 10)),
        (NOTHING, {"rollout": {"partition": "cpu"}}, PLAIN + GPU.format(1, 1) + "cpu4|cpu|(null)|1\n"),
        (Submission("hetjob", None, None, 0, None), {}, PLAIN + GPU.format(1, 1)),
        (Submission("multinode", None, None, 1, None), {}, PLAIN + GPU.format(1, 1)),
        # More nodes with GPUs than the other groups can take.
        (NOTHING, {}, PLAIN + "".join(f"gpu{i}|main*|gpu:1|1\n" for i in range(4))),
        (NOTHING, {}, PLAIN),
        (NOTHING, {}, ""),
    ],
)
def test_other_plans_are_not_doubted(asked, site, there):
    assert doubt(asked, site, nodes(there)) is None


def test_a_job_without_slurm_is_described_as_slurm_would(tmp_path):
    for other in ("local-3", "local-²"):
        (tmp_path / other).mkdir()
    words = shlex.split(local.line(Submission("hetjob", 1, 2, None, None), ROOT, tmp_path, ["--env", "my env"]))
    assert words[0] == "env" and {"SLURM_JOB_ID=local-4", f"RL_RUNS={tmp_path}", "RL_LOCAL_GPUS=0 0 0"} < set(words)
    assert "SLURM_JOB_NODELIST_HET_GROUP_1=rollout1" in words and "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1=2(x1)" in words
    assert words[-4:] == [f"{ROOT}/slurm/local/run", f"{ROOT}/slurm/hetjob.sh", "--env", "my env"]
    with pytest.raises(InputError, match="--local is for hetjob, multinode, node"):
        local.line(Submission("rollout", None, None, None, None), ROOT, tmp_path, ["1"])
    with pytest.raises(InputError, match="--time is 1:00:00, and no job has a time limit without Slurm"):
        local.line(Submission("node", None, None, None, "1:00:00"), ROOT, tmp_path, [])


def test_a_job_is_stopped_where_it_trains_and_cancelled_where_it_waits(tmp_path):
    known = {"JobState": "RUNNING", "WorkDir": str(tmp_path)}
    folder = tmp_path / "7"
    assert of_job("7", known, "", Path("/")) == tmp_path / "runs/7"
    folder.mkdir()
    assert stop(folder, known) == ("job 7 had not begun to train and is cancelled", ["scancel", "7"])
    JobFolder(folder).publish(Rendezvous(0, TRAINING, "10.0.0.1:1", 0.0))
    assert stop(folder, known) == ("job 7 ends after the iteration in progress, with a checkpoint", [])
    assert (folder / "stop").read_text()
    assert stop(folder, {"JobState": "FAILED"}) == ("job 7 is over: FAILED", [])
    assert stop(folder, None) == ("job 7 is over", [])
    assert of_job("7", None, str(tmp_path), Path("/")) == folder
    with pytest.raises(InputError, match="Slurm does not know job 8, and there is no /runs/8"):
        of_job("8", None, "", Path("/"))
    check_number("local-3")
    with pytest.raises(InputError, match="x is not the number of a job"):
        check_number("x")
    with pytest.raises(InputError, match="no job is named; give its number, as in `slurm/rl status 123`"):
        check_number("")


def test_a_job_is_forgotten_where_slurm_says_so_and_not_where_it_fails():
    check_forgotten("7", "slurm_load_jobs error: Invalid job id specified\n")
    check_forgotten("local-3", "slurm_load_jobs error: Invalid job id specified\n")
    with pytest.raises(InputError, match="Slurm does not tell of job 7: Unable to contact slurm controller$"):
        check_forgotten("7", "slurm_load_jobs error: Unable to contact slurm controller\n")


def test_a_knob_of_the_scripts_is_no_option_of_sbatch(tmp_path):
    conf = tmp_path / "site.conf"
    conf.write_text("RL_BIND = /scratch\n")
    with pytest.raises(InputError, match="no option of sbatch; export RL_BIND"):
        read_site(conf)


def test_two_images_of_one_job_are_alike_in_what_their_processes_share():
    said = (
        "rlsif.version.python: 3.11.7\nrlsif.version.ray: 2.60.0\nrlsif.version.tensorflow: 2.21.0\nrlsif.shared: ab\n"
    )
    labels.check_alike("rl.sif", said, "rl-gpu.sif", f"org.label-schema.usage: x\n{said}rlsif.gpu: yes\n")
    with pytest.raises(InputError, match="rl.sif has version.ray 2.60.0 and old.sif has 2.59.0; build both from one"):
        labels.check_alike("rl.sif", said, "old.sif", said.replace("2.60.0", "2.59.0"))
    with pytest.raises(InputError, match="mine.sif has version.python unknown and rl.sif has 3.11.7"):
        labels.check_alike("mine.sif", "", "rl.sif", said)
