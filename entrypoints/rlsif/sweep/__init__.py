"""Searching for hyperparameters: many runs, the best of them kept as a preset."""
