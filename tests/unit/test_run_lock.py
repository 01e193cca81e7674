"""Two processes are never in one run's folder, and a dead one is in nobody's way."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from rlsif.errors import InputError
from rlsif.training.run_lock import DEAD, LOCK, check_free, held, this_process


def left_by(folder, owner, seconds_ago=0.0):
    path = folder / LOCK
    path.write_text(json.dumps(asdict(owner)))
    os.utime(path, (time.time() - seconds_ago,) * 2)


@pytest.mark.fault(
    "a second process opens a run folder or a sweep that is in use",
    promise="it is refused with the host and the number of the process that has it",
)
def test_a_second_process_is_refused_by_name_and_host(tmp_path):
    code = "import sys; from pathlib import Path; from rlsif.training.run_lock import held\n"
    code += "with held(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "in\n"
    said = f"is in use by process {other.pid} on {this_process().host}; wait for its end"
    with pytest.raises(InputError, match=said), held(tmp_path):
        pass
    with pytest.raises(InputError, match=said):
        check_free(tmp_path)
    other.kill()
    other.wait()
    check_free(tmp_path)
    with held(tmp_path):
        check_free(tmp_path)
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(
    "the owner of a run folder died, and its process number is in use again",
    promise="the run can be resumed at once",
)
def test_a_process_number_that_is_used_again_is_another_process(tmp_path):
    left_by(tmp_path, replace(this_process(), began="1"))
    with held(tmp_path):
        pass


@pytest.mark.fault(
    "another host has the run folder and cannot be asked",
    promise="it counts as alive as long as it touches its lock, and as dead afterwards",
)
def test_another_host_is_alive_as_long_as_it_touches_the_file(tmp_path):
    elsewhere = replace(this_process(), host="elsewhere", job="17")
    left_by(tmp_path, elsewhere, seconds_ago=DEAD / 2)
    with pytest.raises(InputError, match="on elsewhere .job 17."), held(tmp_path):
        pass
    left_by(tmp_path, elsewhere, seconds_ago=DEAD * 2)
    with held(tmp_path):
        pass


def test_a_job_that_was_requeued_takes_over_from_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    left_by(tmp_path, replace(this_process(), host="elsewhere"))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with held(tmp_path):
        pass


def test_two_processes_of_one_allocation_are_two(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    left_by(tmp_path, replace(this_process(), host="elsewhere"))
    with pytest.raises(InputError, match="on elsewhere .job 17."), held(tmp_path):
        pass


def test_a_process_of_another_container_is_known_by_its_touch(tmp_path):
    left_by(tmp_path, replace(this_process(), namespace="pid:[1]", began="1"))
    with pytest.raises(InputError, match="is in use by process"), held(tmp_path):
        pass


def test_the_lock_of_another_is_left_where_it_is(tmp_path):
    with held(tmp_path):
        left_by(tmp_path, replace(this_process(), pid=1))
    assert (tmp_path / LOCK).exists()


@pytest.mark.fault("the lock of a run folder was cut short", promise="it is nobody's, and the run can be resumed")
def test_a_lock_that_was_cut_short_is_nobodys(tmp_path):
    (tmp_path / LOCK).write_text('{"host": "a')
    with held(tmp_path):
        pass
