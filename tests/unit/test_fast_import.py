"""What of an image may have changed, from its mounts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "containers/build"))

PREFIX = "/opt/rl"
ROOT = "92 63 0:40 / / rw,nodev unbindable - {}\n"
SESSION = "/var/lib/apptainer/mnt/session"
OWN = f"overlay overlay ro,lowerdir={SESSION}/overlay-lowerdir:{SESSION}/rootfs,redirect_dir=on"


@pytest.mark.fault(
    "a file of the image lies under a mount or an overlay",
    promise="the file that is seen is the one that runs",
)
@pytest.mark.parametrize(
    ("root", "covered"),
    [
        ("squashfs /dev/loop0 ro", False),
        ("fuse.squashfuse_ll squashfuse_ll ro,user_id=0", False),
        (OWN, False),
        (OWN.replace("lowerdir=", f"lowerdir={SESSION}/overlay-images/0/upper:"), True),
        (f"{OWN},upperdir={SESSION}/tmpfs/upper,workdir={SESSION}/tmpfs/work", True),
        ("fuse.fuse-overlayfs fuse-overlayfs rw,user_id=0", True),
    ],
)
def test_what_lies_over_an_image(root, covered):
    from fast_import import _mounts_below

    assert _mounts_below(PREFIX, ROOT.format(root)) == (covered, [])


def test_mounts_in_the_prefix():
    from fast_import import _has_mounts, _mounts_below

    site = "/opt/rl/lib/python3.11/site-packages"
    lines = [
        f"110 92 254:0 /x {point} rw - ext4 /dev/vda rw" for point in (f"{site}/a\\040b", f"{site}/one.py", "/home")
    ]
    _, mounts = _mounts_below(PREFIX, ROOT.format(OWN) + "\n".join(lines))
    assert mounts == [f"{site}/a b", f"{site}/one.py"]
    assert [_has_mounts(f, mounts) for f in (site, f"{site}/a b", f"{site}/a b/c", f"{site}/other", "/opt/rl/lib")] == [
        True, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        ('finish.sh "seal-0123"', (True, False)),
        ('layer.sh "seal-0123-layer"', (True, True)),
        ("Bootstrap: localimage\nFrom: rl.sif\n", (False, False)),
        (None, (False, False)),
    ],
)
def test_an_image_built_from_the_image_has_no_seal(tmp_path, definition, found):
    from fast_import import _look_for_seal

    path = tmp_path / "Singularity"
    if definition is not None:
        path.write_text(definition)
    assert _look_for_seal("seal-0123", str(path)) == found
