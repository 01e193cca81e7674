"""Finding, checking and registering environments."""
