"""Storage of runs: what the API reads and writes, behind protocols."""
