"""Statistics of votes, simulation and power analysis."""
