"""One file an algorithm: its descriptor, `ALGORITHM`, as `rlsif.learning.catalogue` has it."""
