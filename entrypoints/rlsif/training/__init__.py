"""Training an agent: from options to an RLlib algorithm, the loop, its files. Of Slurm it knows a job's number, for the run lock."""
