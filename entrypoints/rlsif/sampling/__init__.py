"""Sampling without TensorFlow: vectorised environments and the policy's forward pass in NumPy."""
