"""Root file systems that tests need, made from the machine's Debian mirror once and kept."""

import fcntl
import hashlib
import shutil

from rlsif.images import site
from rlsif.images.build import cache_folder
from rlsif.images.debian import root_file_system

RELEASE = "trixie"


def cached_root(name, packages, finish=lambda folder: None, inputs=()):
    """A Debian with these packages, in a folder of the cache; `finish` completes it, `inputs` are what it uses."""
    digest = hashlib.sha256(repr((RELEASE, packages, *inputs)).encode()).hexdigest()[:16]
    done = cache_folder(name) / f"rootfs-{digest}"
    if done.exists():
        return done
    # Others may want it at the same time: workers of this run, and other runs.
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _make(done, packages, finish)
    return done


def _make(done, packages, finish):
    """Make it beside its place, then move it there."""
    partial, work = done.with_suffix(".partial"), done.with_suffix(".work")
    # What a run that was killed has left.
    for folder in (partial, work):
        shutil.rmtree(folder, ignore_errors=True)
    work.mkdir()
    root_file_system(site.this_machine(), RELEASE, partial, work, packages)
    shutil.rmtree(work)
    finish(partial)
    partial.chmod(0o755)
    partial.rename(done)
