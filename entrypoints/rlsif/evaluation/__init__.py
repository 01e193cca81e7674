"""Looking at a trained agent: episodes, statistics, videos."""
