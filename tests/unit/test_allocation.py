"""What `scontrol show job` prints is read alike for every release of Slurm.

The records of 22.05, 24.11 and 26.05 in scontrol/ are what a real Slurm printed. Those of the other releases are
written by their format: TRES became ReqTRES and AllocTRES with 23.02, gres:gpu became gres/gpu with 23.11, TresPerTask
names CPUs since 24.05, Power is gone since 24.11, and sites that count GPUs have them among the TRES.
"""

import subprocess
from pathlib import Path

import pytest

from rlsif.errors import InputError
from rlsif.slurm import hostlist, on_node, scontrol, shell
from rlsif.slurm.allocation import Group, read
from rlsif.slurm.describe import describe
from rlsif.slurm.steps import binds_cpus

RECORDS = Path(__file__).parent / "scontrol"
HETJOB = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NODELIST_HET_GROUP_0": "n1",
    "SLURM_JOB_NODELIST_HET_GROUP_1": "n[2-3]",
    "SLURM_JOB_NODELIST_HET_GROUP_2": "g07",
    "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0": "2",
    "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1": "8(x2)",
    "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_2": "4",
}


def record(name):
    return (RECORDS / f"{name}.txt").read_text()


@pytest.mark.parametrize("variables", [HETJOB, {"SLURM_JOB_ID": "7"}], ids=["as told", "by scontrol alone"])
@pytest.mark.parametrize("release", ["23.02", "23.11", "24.05", "25.05"])
def test_a_hetjob_of_every_release(release, variables):
    found = read(record(f"{release}-hetjob"), variables)
    assert found.groups == (Group(("n1",), (2,), 0), Group(("n2", "n3"), (8, 8), 0), Group(("g07",), (4,), 2))
    assert (found.state, found.folder, found.requeue) == ("RUNNING", "/home/alice/a folder", True)
    assert found.end == scontrol.epoch("2026-11-26T10:00:00")


@pytest.mark.parametrize(
    "release, head, rollout, end",
    [
        ("22.05", "head", ("cpu1", "cpu2"), "2026-11-27T18:26:47"),
        ("24.11", "head", ("cpu1", "cpu2"), None),
        ("26.05", "cpu1", ("cpu2", "head"), "2026-11-27T18:33:53"),
    ],
)
def test_a_hetjob_as_a_real_slurm_told_of_it(release, head, rollout, end):
    found = read(record(f"{release}-hetjob"), {"SLURM_JOB_ID": "1"})
    assert found.groups == (Group((head,), (1,), 0), Group(rollout, (2, 2), 0), Group(("gpu1",), (3,), 1))
    assert (found.state, found.folder) == ("RUNNING", "/home/alice")
    assert found.end == (scontrol.epoch(end) if end else None)


@pytest.mark.parametrize("option, job", [("gpus", "4"), ("gpus-per-task", "6"), ("gpus-per-socket", "7")])
def test_gpus_are_found_by_whatever_option_they_were_asked_for(option, job):
    assert read(record(f"24.11-{option}"), {"SLURM_JOB_ID": job}).groups[0].gpus == 1


def test_one_job_of_an_array_and_one_that_waits():
    [of_array] = scontrol.groups(record("24.11-array"), "10")
    assert (of_array["ArrayTaskId"], of_array["JobName"]) == ("2", "a job.sh")
    [waits] = scontrol.groups(record("24.11-waits"), "12")
    assert waits["JobState"] == "PENDING" and scontrol.epoch(waits["EndTime"]) is None


@pytest.mark.parametrize(
    "fields, gpus",
    [
        ("TresPerNode=gres/gpu:2", 2),
        ("TresPerNode=gres:gpu:2", 2),
        ("TresPerNode=gpu:a100:4", 4),
        ("TresPerNode=gres:gpu:a100:4(S:0-1)", 4),
        ("TresPerNode=gres/gpu", 1),
        ("TresPerNode=gres/gpu:a100", 1),
        ("TresPerNode=gres/gpu:a100:2,gres/gpu:v100:1", 3),
        ("TresPerNode=gres/shard:4", 0),
        ("TresPerJob=gres/gpu:2", 2),
        ("TresPerSocket=gres/gpu:1", 1),
        ("TresPerTask=cpu=2,gres/gpu=3", 3),
        ("NumTasks=2 TresPerTask=cpu=2,gres/gpu=3", 6),
        ("TresPerTask=cpu=2", 0),
        ("TresPerNode=(null)", 0),
        ("AllocTRES=cpu=4,gres/gpu=2,gres/gpu:a100=2 TresPerNode=gres/gpu", 2),
        ("TRES=cpu=4,gres/gpu:tesla=1 TresPerNode=gres:gpu:tesla:1", 1),
        ("AllocTRES=(null) ReqTRES=cpu=4 TresPerNode=gres/gpu:1", 1),
    ],
)
def test_gpus_in_all_of_slurms_spellings(fields, gpus):
    assert scontrol.gpus(scontrol.fields(f"JobId=7 JobName=rl\n   NumNodes=1 NumCPUs=4\n   {fields}\n")) == gpus


def test_values_that_look_like_others_are_taken_for_what_they_are():
    found = scontrol.fields("JobId=7 JobName=x JobState=FAILED\n   JobState=RUNNING Reason=None\n   WorkDir=/a b=c\n")
    assert (found["JobName"], found["JobState"], found["WorkDir"]) == ("x JobState=FAILED", "RUNNING", "/a b=c")


@pytest.mark.parametrize(
    "said, cpus", [("8", [8]), ("6(x2)", [6, 6]), ("8(x2),16", [8, 8, 16]), ("128(x3)", [128] * 3)]
)
def test_cores_are_counted_as_slurm_tells_them(said, cpus):
    assert hostlist.counts(said) == cpus


@pytest.mark.parametrize(
    "visible, gpus",
    [("", 0), ("NoDevFiles", 0), ("0", 1), ("0,1,7", 3), ("GPU-5a1,GPU-6b2", 2), ("MIG-5a1", 1)],
)
def test_gpus_of_a_node_are_those_that_slurm_shows_there(visible, gpus):
    assert on_node.gpus(visible) == gpus


@pytest.mark.parametrize(
    "per_node, per_cpu, megabytes", [("", "", 0), ("0", "", 0), ("512", "", 512), ("", "100", 800), ("512", "100", 512)]
)
def test_memory_of_a_node_is_what_slurm_lets_the_job_use(per_node, per_cpu, megabytes):
    assert on_node.memory(per_node, per_cpu, cpus=8) == megabytes * 1024**2


def test_names_are_those_that_scontrol_gives():
    # As `scontrol show hostnames` of 24.11 printed them.
    assert hostlist.names("r[1-2]n[08-11,3],x,y[1]z") == (
        ["r1n08", "r1n09", "r1n10", "r1n11", "r1n3", "r2n08", "r2n09", "r2n10", "r2n11", "r2n3", "x", "y1z"]
    )


@pytest.mark.parametrize(
    "time, seconds", [("1795629050", 1795629050), ("Unknown", None), ("N/A", None), ("(null)", None), ("", None)]
)
def test_times(time, seconds):
    assert scontrol.epoch(time) == seconds


@pytest.mark.parametrize(
    "config, binds",
    [
        ("TaskPlugin              = (null)", False),
        ("TaskPlugin              = task/none", False),
        ("TaskPlugin              = task/cgroup,task/affinity\nTaskPluginParam = (null)", True),
        ("TaskPlugin              = affinity", True),
        ("", True),
    ],
)
def test_tasks_are_unbound_where_they_are_bound(config, binds):
    assert binds_cpus(config) == binds


KNOBS = {
    "RL_IMAGE": "/i/rl.sif",
    "RL_IMAGE_GPU": "/i/rl gpu.sif",
    "RL_RUNS": "/h/my runs",
    "RL_ROOT": "/opt/a checkout",
}


def test_bash_gets_what_was_meant():
    values = describe("hetjob", {"": record("25.05-hetjob"), "config": "TaskPlugin = (null)"}, {**HETJOB, **KNOBS})
    script = shell.assignments(values) + '\nprintf "%s\\n" "$RL_JOB" "${roles[*]}" "${images[@]}" -- "${step_head[@]}"'
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    said, _, head = done.stdout.partition("--\n")
    assert said.splitlines() == ["/h/my runs/7", "head rollout learner", "/i/rl.sif", "/i/rl gpu.sif"]
    assert head.splitlines()[0] == "--het-group=0" and "--cpu-bind=none" not in head
    assert head.splitlines()[-14:] == [
        *("/opt/a checkout/slurm/role.sh", "head", "/i/rl.sif", "--rollout-nodes", "n2 n3", "--rollout-cpus", "16"),
        *("--learner-node", "g07", "--learner-cpus", "4", "--learner-gpus", "2", "--"),
    ]


def test_a_cap_that_is_no_number_is_refused_at_the_start_and_not_at_the_requeue():
    with pytest.raises(InputError, match="RL_MAX_REQUEUES is 'ten'; it must be a number, as in RL_MAX_REQUEUES=10"):
        describe("hetjob", {"": record("25.05-hetjob")}, {**HETJOB, **KNOBS, "RL_MAX_REQUEUES": "ten"})


def test_a_job_of_equal_nodes_has_its_head_on_the_first():
    said = "JobId=7 JobName=rl\n   NodeList=n[1-3] NumNodes=3 NumCPUs=20\n   TresPerNode=gres/gpu:1\n"
    variables = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_JOB_CPUS_PER_NODE": "8(x2),4", **KNOBS}
    values = describe("multinode", {"": said}, variables)
    assert values["roles"] == ["head", "rollout"] and values["images"] == ["/i/rl gpu.sif", "/i/rl.sif"]
    assert values["step_head"][:3] == ["--nodes=1", "--ntasks=1", "--nodelist=n1"]
    assert values["step_head"][-5:] == ["--rollout-nodes", "n2 n3", "--rollout-cpus", "12", "--"]
    assert values["step_rollout"][:3] == ["--nodes=2", "--ntasks=2", "--exclude=n1"]


def test_nodes_are_lent_to_the_job_that_is_named():
    other = "JobId=5 JobName=rl\n   JobState=RUNNING Reason=None\n   WorkDir=/h/a b\n"
    said = {"": "JobId=7 JobName=x\n   NodeList=n4 NumNodes=1 NumCPUs=8\n", "other": other}
    values = describe("rollout", said, {"SLURM_JOB_ID": "7", "RL_LENT_TO": "5", **KNOBS})
    assert values["RL_JOB"] == "/h/a b/runs/5" and values["RL_OVER"] == "/h/a b/runs/5/over-7"
    with pytest.raises(InputError, match="Slurm does not know job 6"):
        describe("rollout", said, {"SLURM_JOB_ID": "7", "RL_LENT_TO": "6", **KNOBS})
    with pytest.raises(InputError, match="no job is named; as in `sbatch slurm/rollout.sh 123`"):
        describe("rollout", said, {"SLURM_JOB_ID": "7", "RL_LENT_TO": "", **KNOBS})


def test_a_variable_of_the_host_with_any_lines_cuts_nothing_off():
    from rlsif.slurm.shell import sections, variables

    text = "JobId=1\n== environment\nNOTE=a\n== other\nb\nRL_RUNS=/runs\n"
    assert variables(sections(text)["environment"]) == {"RL_RUNS": "/runs"}
