"""Proof that an image works: what it must import, and one iteration of PPO. Run by the image's %test."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

IMPORTS = [
    "ray",
    "ray.rllib",
    "gymnasium",
    "tensorflow",
    "tf_keras",
    "typer",
    "spython",
    "pandas",
    "matplotlib",
    "tensorboard",
]


def main() -> None:
    """Import everything and train once; any failure raises."""
    from rlsif.cluster.ray_node import require_token

    require_token()
    for name in IMPORTS:
        importlib.import_module(name)
    from rlsif.training.options import TrainOptions
    from rlsif.training.run import train
    from rlsif.training.stopping import Stop

    with tempfile.TemporaryDirectory() as folder:
        train(
            TrainOptions(
                env="CartPole-v1",
                local_mode=True,
                stop=Stop(iters=1),
                settings=("train_batch_size=200", "minibatch_size=100", "num_epochs=1"),
                results_dir=Path(folder),
            )
        )


if __name__ == "__main__":
    main()
