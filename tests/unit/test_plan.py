"""The plan of a run that is resumed: from what it has written, and from the options that are given again."""

from dataclasses import replace

import pytest

from rlsif.cluster.job import JobFolder
from rlsif.envs.find import find, make
from rlsif.envs.reference import EnvRef, parse
from rlsif.errors import InputError
from rlsif.learning.spec import RunSpec
from rlsif.training import checkpoints, plan, saved
from rlsif.training.checkpoints import Progress
from rlsif.training.options import TrainOptions
from rlsif.training.results import CHECKPOINTS, RunFiles
from rlsif.training.run import continued
from rlsif.values import env_arguments

PROGRESS = Progress("PPO", "E", "tf", 4, 1, 1.0, [], [])
# Texts that YAML 1.1 takes for a date, a truth, and numbers to the bases of 60 and 8; and keys that are none.
GIVEN = (
    "start=2020-01-01", "country=no", "time=12:30", "code=007", "levels={1: up, true: x}",
    "name='5'", "share=1e-3",
)  # fmt: skip
MEANT = {
    "start": "2020-01-01", "country": "no", "time": "12:30", "code": "007", "levels": {"1": "up", "true": "x"},
    "name": "5", "share": 0.001,
}  # fmt: skip
ENV = """
import gymnasium


class Takes(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, **given):
        self.given = given

    def reset(self, *, seed=None, options=None):
        return 0, {}
"""


@pytest.fixture(autouse=True)
def without_rllib(monkeypatch):
    monkeypatch.setattr(plan, "_rllib_samples", lambda *_: None)


def trained(folder, ref, progress=PROGRESS):
    """The folder of a run with a checkpoint."""
    (folder / CHECKPOINTS).mkdir(parents=True)
    RunFiles(folder).write_params({"run": RunSpec("PPO", "tf", ref).as_json()})
    checkpoints.write(folder / CHECKPOINTS, progress, lambda _: None)
    return folder


@pytest.mark.fault(
    "arguments of an environment look like dates, truths or times",
    promise="training, `evaluate`, `--resume` and a requeued job give it the same texts",
)
def test_arguments_are_the_same_in_every_start_of_a_run(tmp_path):
    (tmp_path / "takes.py").write_text(ENV)
    name = f"{tmp_path}/takes.py:Takes"
    first = find(parse(name, env_arguments(GIVEN))).ref
    run = trained(tmp_path / "the run", first)
    again = saved.spec_of(run).env
    for ref in (first, again):
        assert make(ref).unwrapped.given == MEANT
        assert [type(value) for value in ref.arguments.values()] == [type(value) for value in MEANT.values()]
    # Slurm starts the job again with all of its options.
    job = JobFolder(tmp_path)
    job.run.write_text(str(run))
    requeued = continued(TrainOptions(env=name, env_settings=GIVEN, local_mode=True), job)
    assert requeued.resume == run and requeued.env_settings == GIVEN
    assert dict(plan.make_plan(requeued).env.ref.arguments) == MEANT
    assert plan.make_plan(TrainOptions(resume=run, local_mode=True)).env.ref == again
    with pytest.raises(InputError, match=r"--env-config is \{'country': False\}, but .*'country': 'no'"):
        plan.make_plan(TrainOptions(resume=run, env_settings=("country=false",), local_mode=True))


def test_a_resumed_run_asks_for_the_task_it_had(tmp_path):
    for number, (had, wanted) in enumerate((([], False), ([3], True))):
        run = trained(tmp_path / f"run {number}", EnvRef("CartPole-v1"), replace(PROGRESS, task=had))
        planned = plan.make_plan(TrainOptions(resume=run, local_mode=True))
        assert (planned.layout.tasks, planned.layout.resumed_at) == (wanted, 4)
