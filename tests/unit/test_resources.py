"""CPU quotas of cgroups."""

from rlsif.cluster import resources


def test_a_quota_of_version_two_is_rounded_up(tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert resources._cpu_quota([tmp_path]) == 2


def test_a_quota_of_version_one(tmp_path):
    (tmp_path / "cpu.cfs_quota_us").write_text("400000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert resources._cpu_quota([tmp_path]) == 4


def test_no_quota(tmp_path):
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert resources._cpu_quota([tmp_path, tmp_path / "none"]) is None


def test_hidden_gpus_do_not_count(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert resources._gpus() == 0
