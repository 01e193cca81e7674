"""What a run needs of the machine or the cluster under it: resources, a private Ray. Knows nothing of RLlib."""
