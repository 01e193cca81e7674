"""`check-gpu`: the GPUs that TensorFlow sees, or why it sees none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from rlsif.commands import cli


def check_gpu(
    num_gpus: Annotated[int, typer.Option(min=1, help="Number of GPUs that TensorFlow must see.")] = 1,
) -> int:
    """Print the GPUs that TensorFlow sees. If it sees too few, say why and exit with 1."""
    from tempfile import TemporaryDirectory

    from rlsif.errors import RlsifError, counted
    from rlsif.training.process import noise_into

    # TensorFlow says on stderr how it looks for GPUs.
    with TemporaryDirectory() as private, noise_into(Path(private) / "noise"):
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        details = tf.config.experimental.get_device_details(gpu)
        name, capability = details.get("device_name", "unknown"), details.get("compute_capability")
        print(f"{gpu.name}: {name}, compute capability {capability}")
    if not gpus:
        raise RlsifError(f"TensorFlow {tf.__version__} sees no GPU: {why_none(tf.test.is_built_with_cuda())}")
    if len(gpus) < num_gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise RlsifError(
            f"TensorFlow {tf.__version__} sees {counted(len(gpus), 'GPU')}, and {num_gpus} are wanted:"
            f" CUDA_VISIBLE_DEVICES is {visible}; ask for more in the allocation, or compare with `nvidia-smi`"
        )
    return 0


def why_none(built_with_cuda: bool) -> str:
    """The first thing that is missing on the way from the card to TensorFlow."""
    if not built_with_cuda:
        return "this image has the CPU build; use rl-gpu.sif"
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        return "there is no /dev/nvidia* device here; run where a GPU was allocated (in Slurm: --gres=gpu:1)"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1", "NoDevFiles"):
        return "CUDA_VISIBLE_DEVICES hides all GPUs; ask for one in the allocation"
    if not Path("/.singularity.d/libs/libcuda.so.1").exists():
        return "the driver's libcuda.so is not in the container; run with `apptainer exec --nv`"
    return "the driver may be too old for this CUDA; compare `nvidia-smi` with docs/images.md"


def main() -> None:
    """Run the command."""
    cli.run(check_gpu, "check-gpu")
