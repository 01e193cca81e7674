"""Measurements beside peers, and their records."""
