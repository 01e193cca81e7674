"""A service that is told of a run fails at its end: what the run has come to counts."""

import json

import pytest

from tests.image.test_wrong_values import ENVS, SMALL

# `train` where a service begins as others do, and fails when the run is over; it notes what the run's folder has then.
FAILS_AT_ITS_END = """
import sys
from rlsif.training import tracking

def begin(settings, env, folder):
    def end():
        print("at the end:", sorted(path.name for path in folder.iterdir()))
        if how == "exits":
            sys.exit(3)
        raise ConnectionError("the server is gone")

    return tracking.Service(lambda row, step: None, end)

how = sys.argv.pop(1)
tracking.SERVICES["wandb"] = begin
tracking.find_spec = lambda name: True
from rlsif.commands.train import main
main()
"""


@pytest.mark.fault(
    "Weights & Biases or MLflow fails, or ends its process, at the end of a run, which went well or has failed itself",
    promise="summary.json is written before that, and the run's own end or error is what is shown",
)
@pytest.mark.parametrize("how", ["raises", "exits"])
@pytest.mark.parametrize(("env", "code"), [("Base", 0), ("Nan", 1)])
def test_a_service_that_fails_at_the_end_hides_nothing(shell, how, env, code):
    (shell.folder / "envs.py").write_text(ENVS)
    asked = ("--env", f"envs.py:{env}", *SMALL, "--stop-iters", "3", "--num-envs-per-env-runner", "1")
    asked += ("--log-to", "wandb", "--results-dir", "results")
    done = shell("python", "-c", FAILS_AT_ITS_END, how, *asked)
    assert done.returncode == code, done.stderr
    [run] = shell.runs
    told, log = json.loads((run / "summary.json").read_text()), (run / "train.log").read_text()
    assert "--log-to wandb failed at the end of the run: " in log
    assert "'summary.json'" in log.partition("at the end: ")[2].splitlines()[0]
    if code:
        [said] = done.stderr.splitlines()
        assert said.startswith("error: environment ") and "gave nan as observation[1] after" in said
        assert told["state"] == "failed" and "gave nan as observation[1]" in told["stop_reason"]
    else:
        assert done.stderr == "" and done.stdout.splitlines()[-1].startswith("done: mean return ")
        assert told["state"] == "finished" and told["iterations"] == 3
