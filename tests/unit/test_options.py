"""Options against the machine."""

import re
from dataclasses import replace

import numpy as np
import pytest

from rlsif.cluster.resources import Cluster, Resources, available
from rlsif.commands.options import ALGO_HELP
from rlsif.errors import InputError
from rlsif.learning import catalogue
from rlsif.policies.spaces import Box, Discrete
from rlsif.training.options import TrainOptions, check_evaluated, check_precision, cluster_layout, layout

MACHINE = Resources(cpus=4, gpus=1, memory=8 * 1024**3)


def test_all_cores_by_default_one_for_the_learner():
    processes, resources = layout(TrainOptions(), MACHINE, 8)
    assert (processes.num_env_runners, resources.cpus, processes.num_envs_per_env_runner) == (3, 4, 8)


def test_one_core_lets_the_learner_sample():
    assert layout(TrainOptions(num_cpus=1), MACHINE, 1)[0].num_env_runners == 0


def test_a_fraction_of_a_gpu_takes_a_whole_one_of_ray():
    processes, resources = layout(TrainOptions(num_gpus=0.5), MACHINE, 1)
    assert (processes.num_gpus, resources.gpus) == (0.5, 1)


def test_another_precision_needs_a_gpu_and_updates_of_our_own():
    with_gpu = replace(layout(TrainOptions(num_gpus=1), MACHINE, 1)[0], precision="bf16")
    check_precision(with_gpu, "tf")
    check_precision(replace(with_gpu, num_gpus=0.0, precision="float32"), "tf2")
    with pytest.raises(
        InputError, match="and with --framework tf2 RLlib makes the updates, in float32; use --framework tf"
    ):
        check_precision(with_gpu, "tf2")
    with pytest.raises(InputError, match="the learner of this run has no GPU; .* or give --num-gpus 1"):
        check_precision(replace(with_gpu, num_gpus=0.0), "tf")
    with pytest.raises(InputError, match="--precision is 'half'; it must be float32 or bf16"):
        TrainOptions(precision="half")


def test_the_learners_threads_are_the_cores_that_were_asked_for():
    many = Resources(64, 0, 8 * 1024**3)
    for options, threads in (({"num_cpus": 2}, 2), ({"num_cpus": 2, "num_env_runners": 0}, 2), ({}, 64)):
        assert layout(TrainOptions(**options), many, 1)[0].learner_threads == threads


@pytest.mark.parametrize(
    ("options", "runners", "cores"),
    [
        ({"env_processes": 2}, 1, 3),
        ({"env_processes": 1}, 3, 4),
        ({"env_processes": 4}, 0, 4),
        ({"env_processes": 3, "num_env_runners": 0}, 0, 3),
        ({"env_processes": 2, "num_cpus": 3}, 1, 3),
    ],
)
def test_each_env_runner_counts_for_the_cores_of_its_processes(options, runners, cores):
    planned, resources = layout(TrainOptions(**options), MACHINE, 8)
    assert (planned.num_env_runners, planned.cores, resources.cpus) == (
        runners,
        cores,
        options.get("num_cpus", cores),
    )


def test_a_job_has_room_for_env_runners_whose_cores_are_on_one_node():
    nodes = Cluster(rollout_cpus=19, learner_cpus=4, learner_gpus=0, of_rollout_nodes=(3, 8, 8))
    assert [nodes.env_runners(cores) for cores in (1, 2, 3, 8, 9)] == [19, 9, 5, 2, 0]
    planned = cluster_layout(TrainOptions(env_processes=3), nodes, 8)
    assert (planned.num_env_runners, planned.cores, planned.elastic) == (5, 16, True)
    with pytest.raises(
        InputError, match="--num-env-runners is 6 of 3 processes each and .* use --num-env-runners 1 to 5"
    ):
        cluster_layout(TrainOptions(env_processes=3, num_env_runners=6), nodes, 8)
    small = Cluster(rollout_cpus=1, learner_cpus=1, learner_gpus=0, of_rollout_nodes=(1,))
    with pytest.raises(InputError, match="have 1 CPU; use --num-env-runners 1, or give the job more rollout nodes"):
        cluster_layout(TrainOptions(num_env_runners=7), small, 8)
    with pytest.raises(InputError, match="--num-cpus is 1, and the learner and an env runner need 2; use more"):
        cluster_layout(TrainOptions(num_cpus=1), small, 8)
    none = Cluster(rollout_cpus=0, learner_cpus=1, learner_gpus=0, of_rollout_nodes=(0,))
    with pytest.raises(
        InputError, match="no node of the job has a CPU for an env runner; give each one more, by --cpu"
    ):
        cluster_layout(TrainOptions(), none, 8)
    with pytest.raises(InputError, match="--env-processes is 9, and no rollout node has as many CPUs"):
        cluster_layout(TrainOptions(env_processes=9), nodes, 8)


def test_local_mode_is_one_process():
    processes, resources = layout(TrainOptions(local_mode=True), MACHINE, 1)
    assert (processes.num_env_runners, resources.cpus, processes.learner_threads) == (0, 1, 1)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"num_cpus": 5}, "--num-cpus is 5, but this process may use 4"),
        ({"num_gpus": 2}, "--num-gpus is 2, and a learner uses one GPU at most; use --num-gpus 1"),
        ({"num_env_runners": 4}, "4 env runners and a learner need 5 CPUs"),
        ({"num_cpus": 2, "num_env_runners": 2}, "need 3 CPUs, and this run has 2"),
        (
            {"env_processes": 2, "num_env_runners": 2},
            "2 env runners of 2 processes each and a .* need 5 CPUs, .* 1 or",
        ),
        ({"env_processes": 5}, "--env-processes is 5, and this run has 4 CPUs; a process needs one: use 4 or fewer"),
    ],
)
def test_more_than_there_is_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        layout(TrainOptions(**options), MACHINE, 1)


@pytest.mark.parametrize(
    "name",
    [
        "num_cpus",
        "num_gpus",
        "num_env_runners",
        "num_envs_per_env_runner",
        "env_processes",
        "checkpoint_every",
        "evaluate_every",
        "seed",
    ],
)
def test_negative_numbers_are_refused(name):
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is -1; it must be at least"):
        TrainOptions(**{name: -1})


@pytest.mark.parametrize(
    ("options", "runners", "beside"),
    [({}, 2, True), ({"num_cpus": 2}, 1, False), ({"num_env_runners": 3}, 3, False), ({"local_mode": True}, 0, False)],
)
def test_a_core_that_is_free_plays_the_evaluations(options, runners, beside):
    chosen, _ = layout(TrainOptions(evaluate_every=5, **options), MACHINE, 1)
    assert (chosen.num_env_runners, chosen.evaluation.beside) == (runners, beside)


def test_episodes_of_no_evaluation_are_refused():
    with pytest.raises(InputError, match="--evaluate-episodes is 5 and nothing is evaluated"):
        check_evaluated(TrainOptions(evaluate_episodes=5))


def test_local_mode_with_runners_is_contradictory():
    with pytest.raises(InputError, match="--local-mode"):
        TrainOptions(local_mode=True, num_env_runners=2)


def test_the_machine_has_a_core_and_memory():
    here = available()
    assert here.cpus >= 1
    assert here.memory > 2**28


@pytest.mark.parametrize(
    "name, framework, said",
    [("PP0", "tf", "did you mean PPO"), ("IMPALA", "tf2", "use --framework tf"), ("PPO", "torch", "tf .graph")],
)
def test_algorithms_that_do_not_work_are_refused(name, framework, said):
    with pytest.raises(InputError, match=said):
        catalogue.find(name, framework)


def test_an_action_space_out_of_reach_is_refused():
    actions = Box(np.array([-1.0]), np.array([1.0]), np.dtype(np.float32))
    with pytest.raises(
        InputError, match="DQN cannot act in Pendulum-v1: its actions are Box, not Discrete; use --algo PPO"
    ):
        catalogue.check_spaces(catalogue.find("dqn", "tf"), "Pendulum-v1", Discrete(2), actions)


def test_the_help_of_algo_names_every_algorithm():
    assert set(re.findall(r"\b[A-Z]{2,}\b", ALGO_HELP)) == set(catalogue.catalogue())
    assert f"{catalogue.DEFAULT} (default)" in ALGO_HELP
