"""Training an agent: from options to an RLlib algorithm, the loop, its files. Knows nothing of Slurm."""
