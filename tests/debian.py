"""Root file systems that tests need, made from the machine's Debian mirror once and kept."""

import fcntl
import hashlib
import shutil
import tempfile
import time
from pathlib import Path

from rlsif.images import site
from rlsif.images.build import cache_folder
from rlsif.images.debian import root_file_system

RELEASE = "trixie"
A_DAY = 24 * 3600


def cached_root(name, packages, finish=lambda folder: None, inputs=(), release=RELEASE):
    """A Debian with these packages, in a folder of the cache; `finish` completes it, `inputs` are what it uses."""
    digest = hashlib.sha256(repr((release, packages, *inputs)).encode()).hexdigest()[:16]
    done = cache_folder(name) / f"rootfs-{digest}"
    if done.exists():
        return done
    # Others may want it at the same time: workers of this run, and other runs.
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _make(done, packages, finish, release)
    return done


def _make(done, packages, finish, release):
    """Make it in a folder of this process's own, then move it there."""
    for old in done.parent.glob(f"{done.name}-*"):
        # What a run that was killed has left; its programs may continue for a while.
        if time.time() - old.stat().st_mtime > A_DAY:
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{done.name}-", dir=done.parent, ignore_cleanup_errors=True) as folder:
        partial, work = Path(folder) / "root", Path(folder) / "work"
        work.mkdir()
        root_file_system(site.this_machine(), release, partial, work, packages)
        finish(partial)
        partial.chmod(0o755)
        partial.rename(done)
