"""Reinforcement learning with Ray RLlib and TensorFlow, in Apptainer images, on Slurm."""

__version__ = "0.1.0"
