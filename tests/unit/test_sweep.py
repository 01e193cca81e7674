"""What a sweep makes of its trials: their order, and whose failure is whose."""

import sys
from types import SimpleNamespace

import pytest

from rlsif.cluster import failures, membership
from rlsif.envs.reference import EnvRef
from rlsif.learning.spec import RunSpec
from rlsif.sweep.run import _keep_best, _ranked
from rlsif.training.record import FAILED, FINISHED, INTERRUPTED
from rlsif.training.results import RunFiles

MEAN, STEPS = "env_runners/episode_return_mean", "num_env_steps_sampled_lifetime"


def trial(folder, name, state, *means):
    """A run of a trial, with the mean return of each iteration."""
    files = RunFiles(folder / name)
    files.folder.mkdir()
    spec = RunSpec("PPO", "tf", EnvRef("CartPole-v1"), hyperparameters={"name": name})
    files.write_params({"run": spec.as_json(), "resources": {}})
    for number, mean in enumerate(means, start=1):
        files.write_row({"training_iteration": number, STEPS: number, MEAN: mean})
    files.write_summary({"state": state})


@pytest.mark.fault(
    "trials of a sweep fail, or have no return, or one that is no number",
    promise="they come last, and the best settings are those of a trial that works",
)
def test_trials_are_ranked_by_numbers_and_those_that_failed_come_last(tmp_path):
    trial(tmp_path, "without an episode", FINISHED, None)
    trial(tmp_path, "bad", FINISHED, -70.0, -80.0)
    trial(tmp_path, "infinite", FINISHED, float("inf"))
    trial(tmp_path, "nan at its end", INTERRUPTED, 20.0, float("nan"))
    trial(tmp_path, "failed after a good start", FAILED, 90.0)
    trial(tmp_path, "good", FINISHED, 10.0, 30.0)
    trial(tmp_path, "failed at once", FAILED)
    planned = SimpleNamespace(folder=tmp_path)
    ranked = _ranked(planned)
    assert [run.folder.name for run in ranked] == [
        "good", "nan at its end", "bad", "without an episode", "infinite", "failed after a good start",
        "failed at once",
    ]  # fmt: skip
    _keep_best(planned, ranked[0])
    assert "mean return 30.0 after 2 env steps, run good" in (tmp_path / "best.yaml").read_text()


@pytest.mark.fault(
    "env runners of several trials fail on one Ray", promise="each trial hears of its own failure, and of no other"
)
def test_each_run_on_a_ray_has_a_note_of_its_own(monkeypatch):
    kept = {}
    monkeypatch.setattr(failures.private_api, "shared", kept.get)
    monkeypatch.setattr(failures.private_api, "delete_shared", kept.pop)
    monkeypatch.setattr(failures.private_api, "put_shared", lambda key, value, overwrite: kept.setdefault(key, value))
    context = SimpleNamespace(get_node_id=lambda: "n")
    ray = SimpleNamespace(is_initialized=lambda: True, get_runtime_context=lambda: context, __file__="/ray/__init__.py")
    monkeypatch.setitem(sys.modules, "ray", ray)
    try:
        for run in ("a", "b", ""):
            membership.belongs_to(run)
            failures.report(ValueError(f"of {run}"))
            failures.report(ValueError("a later one"))
    finally:
        membership.belongs_to("")
    assert [failures.reported(run).traceback.splitlines()[-1] for run in ("a", "b", "")] == [
        "ValueError: of a", "ValueError: of b", "ValueError: of ",
    ]  # fmt: skip
    failures.forget("a")
    assert failures.reported("a") is None and failures.reported("b") is not None
