"""The kinds of runs: how each starts, advances and ends. Pure."""
