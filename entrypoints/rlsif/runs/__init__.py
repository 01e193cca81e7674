"""Looking at runs: listed, compared, reported."""
