"""What a host carries in its environment and nobody means."""

import pytest

from rlsif.host_environment import shut_out


@pytest.mark.fault(
    "the host's environment names another Ray, or has settings of Python or TensorFlow",
    promise="they are shut out, and what is meant for the run stays",
)
def test_another_ray_and_other_settings_go_and_what_is_meant_stays():
    kept = {"HOME": "/h", "RAY_AUTH_MODE": "token", "TF_USE_LEGACY_KERAS": "1", "OMP_NUM_THREADS": "2", "RL_RUNS": "/r"}
    environment = {**kept, "RAY_ADDRESS": "10.0.0.1:6379", "PYTHONWARNINGS": "error", "TF_CONFIG": "{}"}
    environment |= {"MPLBACKEND": "x", "TUNE_RESULT_DIR": "/nowhere"}
    gone = ["MPLBACKEND", "PYTHONWARNINGS", "RAY_ADDRESS", "TF_CONFIG", "TUNE_RESULT_DIR"]
    assert sorted(shut_out(environment)) == gone
    assert environment == kept
