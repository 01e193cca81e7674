"""Root file systems that tests need, made from the machine's Debian mirror once and kept."""

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
    partial, work = done.with_suffix(".partial"), done.with_suffix(".work")
    shutil.rmtree(partial, ignore_errors=True)
    work.mkdir(exist_ok=True)
    root_file_system(site.this_machine(), RELEASE, partial, work, packages)
    shutil.rmtree(work)
    finish(partial)
    partial.chmod(0o755)
    partial.rename(done)
    return done
