"""The learner: the one place that touches RLlib's algorithms. Runs in the process of the learner."""
