"""What the scripts of slurm/ do around the roles, without Slurm and without an image: the roles are a few lines."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs import LocalJob

ROOT = Path(__file__).parents[2]
# `rl` is this checkout's for what the scripts ask; the roles are `role`, which the test writes.
PYTHON, PACKAGE = (shlex.quote(str(path)) for path in (sys.executable, ROOT / "entrypoints"))
APPTAINER = f"""
[[ $1 != inspect ]] || exec cat "$3.labels"
printf '%s\n' "$*" >>"$FAKES/calls"
while [[ $1 != rl ]]; do shift; done
[[ ! -x $FAKES/before-$2 ]] || "$FAKES/before-$2" </dev/null
case $2 in
    head | rollout | learner) exec "$FAKES/role" "${{@:2}}" ;;
    *) PYTHONPATH={PACKAGE} exec {PYTHON} -c 'from rlsif.commands.rl import main; main()' "${{@:2}}" ;;
esac
"""
# A head that has a checkpoint a start, and members that leave when the job is over.
ROLE = """
role=$1 job=
while (($#)); do [[ $1 != --job ]] || job=$2; [[ $1 != --restart-count ]] || count=$2; shift; done
if [[ $role != head ]]; then
    until [[ -e $RL_OVER ]]; do sleep 0.05; done
    exit 0
fi
run=$FAKES/run
if [[ -e $FAKES/trains ]]; then
    mkdir -p "$run/checkpoints/checkpoint_$count"
    echo "$count" >"$run/checkpoints/checkpoint_$count/manifest.json"
    touch -d "@$count" "$run/checkpoints/checkpoint_$count/manifest.json"
    echo '{}' >"$run/result.json"
    printf %s "$run" >"$job/run"
fi
echo "start $count"
until [[ -e $job/stop || -e $FAKES/done || -e $RL_OVER ]]; do sleep 0.05; done
[[ ! -e $FAKES/done ]] || exit 3
exit 75
"""


@pytest.fixture
def start(tmp_path):
    for name, text in {"apptainer": APPTAINER, "role": ROLE}.items():
        program(tmp_path / name, text)
    jobs = []

    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "FAKES": str(tmp_path), "HOME": str(tmp_path)}
    environment |= {"RL_IMAGE": __file__, "RL_IMAGE_GPU": __file__}

    def start(*arguments, checkout=ROOT, **variables):
        jobs.append(LocalJob(tmp_path, arguments, environment | variables, checkout=checkout))
        return jobs[-1]

    yield start
    for job in jobs:
        job.cleaned()


@pytest.mark.fault("a job meets its time limit", promise="it is requeued, and resumes its run")
@pytest.mark.parametrize("script", ["hetjob", "multinode"])
def test_a_warned_job_is_requeued_and_resumes(start, tmp_path, script):
    (tmp_path / "trains").touch()
    job = start(script, "--", "--env", "x")
    for number in range(2):
        job.says(f"start {number}")
        job.warn()
        job.says(f"is to be requeued (requeue {number + 1}) and resumes from its last checkpoint")
    job.says("start 2")
    assert sorted(path.name for path in (tmp_path / "runs/local-1").glob("logs*")) == ["logs", "logs.0", "logs.1"]
    (tmp_path / "done").touch()
    job.ends(code=3)
    assert job.output.splitlines()[-1].startswith("job local-1 failed with exit code 3; logs are in ")


@pytest.mark.fault("no start of a job gets to a checkpoint", promise="the third start is the last")
def test_a_job_without_a_checkpoint_is_started_three_times(start):
    job = start("node", "--", "--env", "x")
    for number in range(3):
        job.says(f"start {number}")
        job.warn()
    job.ends(code=1)
    assert re.search(
        r"^error: job local-1 was started 3 times and no first iteration has ended: ", job.output, flags=re.M
    )


@pytest.mark.fault("a job was requeued as often as its cap allows", promise="it ends, and says how to resume")
def test_the_cap_of_requeues_is_told(start, tmp_path):
    (tmp_path / "trains").touch()
    job = start("node", "--", "--env", "x", RL_MAX_REQUEUES="1")
    job.says("start 0")
    job.warn()
    job.says("is to be requeued (requeue 1 of at most 1)")
    job.says("start 1")
    job.warn()
    job.ends(code=1)
    said = "error: job local-1 was requeued 1 time, as often as RL_MAX_REQUEUES allows; resume by `--resume "
    assert job.output.splitlines()[-1].startswith(f"{said}{tmp_path}/run`")


def test_every_start_of_the_image_sees_the_folders_of_the_site(start, tmp_path):
    package = f"{ROOT}/entrypoints/rlsif:/opt/rl/lib/python3.11/site-packages/rlsif"
    job = start("hetjob", "--", "--env", "x", RL_BIND=f"/srv,{ROOT}:/mnt,{package}")
    job.says("start 0")
    job.warn()
    job.says("start 1")
    job.told("status")
    (tmp_path / "done").touch()
    job.ends(code=3)
    calls = (tmp_path / "calls").read_text().splitlines()
    asked = {re.search(r" rl (\w+)", call)[1] for call in calls}
    assert asked >= {"submit", "allocation", "head", "rollout", "learner", "warning", "requeue", "begin", "status"}
    assert [call for call in calls if f"--bind /srv --bind {ROOT}:/mnt --bind {package} " not in call] == []


@pytest.mark.fault("a job is stopped for good while it is warned of its end", promise="it is not requeued")
def test_a_job_that_is_stopped_for_good_is_not_requeued(start, tmp_path):
    (tmp_path / "trains").touch()
    job = start("hetjob", "--", "--env", "x")
    job.says("start 0")
    (tmp_path / "runs/local-1/stop").write_text("for good\n")
    job.ends(code=0)
    assert job.output.splitlines()[-1] == "job local-1 was stopped; its run can be resumed by --resume"


@pytest.mark.fault(
    "Ctrl-C is pressed in a job without Slurm",
    promise="the job is cancelled, and nothing of it is left",
)
def test_ctrl_c_cancels_a_job(start):
    job = start("hetjob", "--", "--env", "x")
    job.says("start 0")
    job.interrupt()
    job.ends(code=130)


def program(path, text):
    """Write a script that can be run."""
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.mark.fault(
    "a job is stopped while it is on its way to its next start",
    promise="it does not start again; its run can be resumed",
)
@pytest.mark.parametrize("step, starts", [("requeue", 1), ("allocation", 1), ("begin", 2)])
def test_a_job_that_is_stopped_between_two_starts_is_stopped(start, tmp_path, step, starts):
    (tmp_path / "trains").touch()
    job = start("node", "--", "--env", "x")
    job.says("start 0")
    # On the way from its end to the next start.
    program(tmp_path / f"before-{step}", f'rm "$0"; "{ROOT}/slurm/rl" stop local-1 >&2')
    job.warn()
    job.ends(code=0)
    assert "job local-1 ends after the iteration in progress, with a checkpoint\n" in job.output
    assert job.output.splitlines()[-1] == "job local-1 was stopped; its run can be resumed by --resume"
    assert job.output.count("\nstart ") == starts
    # Whoever starts it once more wants it to run.
    assert not (job.files / "stop").exists()
    assert job.told("stop") == "job local-1 is over\n"


@pytest.mark.fault("a job is stopped while it starts", promise="it is cancelled, and says so")
def test_a_job_that_is_stopped_before_it_has_begun_is_cancelled(start, tmp_path):
    program(tmp_path / "before-allocation", 'touch "$FAKES/begins"; until [[ -e $FAKES/go ]]; do sleep 0.05; done')
    job = start("hetjob", "--", "--env", "x")
    job.until((tmp_path / "begins").exists, 60, "it begins")
    assert job.told("status").splitlines()[0] == "job local-1: forming"
    assert job.told("stop") == "job local-1 had not begun to train and is cancelled\n"
    job.ends(code=130)
    assert job.told("status").splitlines()[0] == "job local-1: over"


@pytest.fixture
def checkout(tmp_path):
    """A copy of slurm/ in which a test can replace what stands in for Slurm."""
    shutil.copytree(ROOT / "slurm", tmp_path / "a checkout/slurm")
    return tmp_path / "a checkout"


def instead_of_scontrol(checkout, text):
    """Have a script come before the stand-in for scontrol."""
    real = checkout / "slurm/local/scontrol"
    real.rename(real.with_suffix(".real"))
    program(real, f'{text}\nexec "$0.real" "$@"')


AWAY = """
[[ ! -e $FAKES/away ]] || {
    echo . >>"$FAKES/asked"
    echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2
    exit 1
}
"""


@pytest.mark.fault(
    "slurmctld is away when a job starts, is warned and asks to be requeued", promise="the job asks until it answers"
)
def test_a_controller_that_is_away_at_every_step_of_a_job_does_no_harm(start, tmp_path, checkout):
    instead_of_scontrol(checkout, AWAY)
    away, asked = tmp_path / "away", tmp_path / "asked"
    away.touch()
    (tmp_path / "trains").touch()
    job = start("node", "--", "--env", "x", checkout=checkout)
    for number in range(2):
        job.until(lambda: asked.exists() and len(asked.read_text().split()) > 1, 60, "it asks twice")
        away.unlink()
        asked.unlink()
        job.says(f"start {number}")
        away.touch()
        job.warn()
    away.unlink()
    job.says("is to be requeued (requeue 2) and resumes from its last checkpoint")
    job.says("start 2")
    (tmp_path / "done").touch()
    job.ends(code=3)


@pytest.mark.fault("Slurm warns a job before its script is read", promise="it is requeued, as if warned later")
def test_a_warning_at_once_is_not_lost(start, tmp_path, checkout):
    instead_of_scontrol(checkout, AWAY)
    (tmp_path / "away").touch()
    (tmp_path / "trains").touch()
    job = start("node", "--", "--env", "x", checkout=checkout)
    job.until(lambda: (tmp_path / "asked").exists(), 60, "it asks where its script is")
    job.warn()
    (tmp_path / "away").unlink()
    job.says("start 0")
    job.says("is to be requeued (requeue 1) and resumes from its last checkpoint")
    job.says("start 1")
    (tmp_path / "done").touch()
    job.ends(code=3)


@pytest.mark.fault(
    "Slurm refuses to requeue a job", promise="it fails with Slurm's words, and says how to resume its run"
)
def test_a_job_that_slurm_does_not_requeue_says_how_to_resume(start, tmp_path, checkout):
    refuses = "slurm_requeue error: Requested operation is presently disabled"
    instead_of_scontrol(checkout, f'[[ $1 != requeue ]] || {{ echo "{refuses}" >&2; exit 1; }}')
    common = checkout / "slurm/common.sh"
    common.write_text(common.read_text().replace("SECONDS_WITHOUT_CONTROLLER=120", "SECONDS_WITHOUT_CONTROLLER=1"))
    (tmp_path / "trains").touch()
    job = start("node", "--", "--env", "x", checkout=checkout)
    job.says("start 0")
    job.warn()
    job.ends(code=1)
    why = "the run was interrupted with a checkpoint, but Slurm does not requeue job local-1"
    how = f"resume by `--resume {tmp_path}/run` in a new one"
    assert job.output.splitlines()[-1] == f"error: {why}: Requested operation is presently disabled; {how}"


@pytest.mark.fault(
    "slurmctld is away when a user asks for a job", promise="`slurm/rl` says so, and not that the job is over"
)
@pytest.mark.parametrize("command", ["status", "stop", "logs"])
def test_rl_does_not_take_a_job_for_over_where_slurm_does_not_answer(tmp_path, command):
    program(tmp_path / "apptainer", APPTAINER)
    program(tmp_path / "scontrol", AWAY)
    (tmp_path / "away").touch()
    (tmp_path / "runs/7").mkdir(parents=True)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "FAKES": str(tmp_path), "RL_IMAGE": __file__}
    line = [ROOT / "slurm/rl", command, "7"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    said = "error: Slurm does not tell of job 7: Unable to contact slurm controller (connect failure)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


@pytest.mark.parametrize(
    "words, said",
    [
        (
            ["submit", "multinode", "--env", "CartPole-v1"],
            "No such option: --env; options of `train` come after --, as in `submit hetjob -- --env CartPole-v1`;"
            " see `slurm/rl submit --help`",
        ),
        (["submit", "hetjob", "--time"], "Option '--time' requires an argument; see `slurm/rl submit --help`"),
        (["frobnicate"], "'frobnicate' is no command of slurm/rl, which has submit, status, logs, stop and doctor; "),
        (["stop", "--now", "3"], "--now is no option of stop, which has none; as in `"),
        (["status", "7", "--now"], "--now is no option of status, which has none; as in `"),
        (["submit", "--local", "node", "--time", "1:00"], "--time is 1:00, and no job has a time limit without Slurm;"),
        (["logs", "7", "--node"], "--node has no name after it; as in `"),
        (["logs", "7", "--nodes", "cpu1"], "--nodes is no option of logs, which has --node and -f; as in `"),
        (["status", "7", "8"], "'8' is a second job; give one number, as in `"),
        (["stop"], "no job is named; give its number, as in `slurm/rl status 123`; `squeue --me` lists yours"),
    ],
)
def test_rl_says_what_is_wrong_with_what_was_typed(tmp_path, words, said):
    program(tmp_path / "apptainer", APPTAINER)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "FAKES": str(tmp_path), "RL_IMAGE": __file__}
    line = [ROOT / "slurm/rl", *words]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["status", "7"], ["submit", "--local", "node"]])
def test_rl_says_which_image_apptainer_cannot_start(tmp_path, words):
    program(tmp_path / "apptainer", "echo 'FATAL:   While reading: image format not recognized' >&2; exit 255")
    line, environment = [ROOT / "slurm/rl", *words], {"PATH": f"{tmp_path}:/usr/bin:/bin", "RL_IMAGE": __file__}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"error: image {__file__} cannot run `rl`: While reading: image format not recognized;"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "name, given, said",
    [
        ("RL_BIND", "/srv,/no/such", "RL_BIND has '/no/such', and /no/such is no folder of "),
        ("RL_BIND", "opt", "RL_BIND has 'opt', and opt is no folder of "),
        (
            "RL_BIND",
            "/srv:mnt",
            "RL_BIND has '/srv:mnt', and 'mnt' is no absolute path of the image; it must be as in ",
        ),
        ("RL_BIND", "/srv:", "RL_BIND has '/srv:', and '' is no absolute path of the image; it must be as in "),
        ("RL_BIND", "/srv:/mnt:rx", "RL_BIND has '/srv:/mnt:rx', and 'rx' is neither ro nor rw; it must be as in "),
        ("RL_BIND", "/opt", "folder /opt cannot be seen in the image, which has its own /opt/rl; use another folder"),
        ("RL_BIND", "/srv:/opt/rl/lib", "folder /opt/rl/lib cannot be seen in the image, which has its own /opt/rl"),
        ("RL_RUNS", "/proc/no/such", "folder /proc/no/such/local-1 cannot be made; RL_RUNS names another place"),
        ("RL_WAIT", "²", "RL_WAIT is '²'; it must be a number of seconds, as in RL_WAIT=300"),
        ("RL_WAIT", "soon", "RL_WAIT is 'soon'; it must be a number of seconds, as in RL_WAIT=300"),
        ("RL_MAX_REQUEUES", "ten", "RL_MAX_REQUEUES is 'ten'; it must be a number, as in RL_MAX_REQUEUES=10"),
    ],
)
def test_a_knob_that_cannot_be_right_is_refused_before_anything_starts(start, name, given, said):
    job = start("hetjob", "--", "--env", "x", **{name: given})
    job.ends(code=2)
    assert job.output.startswith(f"error: {said}") and job.output.count("\n") == 1


@pytest.mark.parametrize("name", ["a:b", "a,b"])
def test_a_folder_that_apptainer_would_take_for_two_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "apptainer").symlink_to("/bin/true")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RL_IMAGE": __file__}
    line = [ROOT / "slurm/rl", "status", "local-1"]
    done = subprocess.run(line, cwd=tmp_path / name, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {tmp_path / name} has a colon or a comma in its path")


def test_a_folder_of_jobs_may_be_given_from_here(start, tmp_path):
    job = start("node", "--", "--env", "x", RL_RUNS="my jobs")
    job.says("start 0")
    (tmp_path / "done").touch()
    job.ends(code=3)
    assert (tmp_path / "my jobs/local-1").is_dir()


def test_jobs_that_are_submitted_at_the_same_moment_have_numbers_of_their_own(start, tmp_path):
    jobs = [start("node", "--", "--env", "x") for _ in range(4)]
    (tmp_path / "done").touch()
    assert [job.process.wait(timeout=240) for job in jobs] == [3] * 4, jobs[0].output
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [f"local-{i}" for i in range(1, 5)]
    assert list((tmp_path / "runs").glob("*/local.pid")) == []


def test_images_whose_processes_would_not_understand_each_other_start_nothing(start, tmp_path):
    images = {"RL_IMAGE": tmp_path / "rl.sif", "RL_IMAGE_GPU": tmp_path / "rl-gpu.sif"}
    for image, ray in zip(images.values(), ("2.60.0", "2.59.0"), strict=True):
        image.touch()
        image.with_name(f"{image.name}.labels").write_text(f"rlsif.version.ray: {ray}\n")
    job = start("hetjob", "--gpus", "1", "--", "--env", "x", **{name: str(path) for name, path in images.items()})
    job.ends(code=2)
    said = f"error: {tmp_path}/rl.sif has version.ray 2.60.0 and {tmp_path}/rl-gpu.sif has 2.59.0; build both from one"
    assert job.output.startswith(said)
