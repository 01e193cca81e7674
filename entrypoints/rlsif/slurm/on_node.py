"""What a job has of one node, from the words in which Slurm tells a task of it."""

from __future__ import annotations

# What Slurm may put where the names of GPUs would be.
NO_GPUS = ("", "NoDevFiles")


def gpus(visible: str) -> int:
    """How many GPUs CUDA_VISIBLE_DEVICES names: numbers or UUIDs, by comma."""
    return 0 if visible in NO_GPUS else visible.count(",") + 1


def memory(per_node: str, per_cpu: str, cpus: int) -> int:
    """Bytes, from SLURM_MEM_PER_NODE or SLURM_MEM_PER_CPU, which are in MB; 0 where Slurm sets no limit."""
    megabytes = int(per_node) if per_node else int(per_cpu or 0) * cpus
    return megabytes * 1024**2
