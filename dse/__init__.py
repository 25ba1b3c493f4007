"""The search for multipliers on the Pareto front, and the command line."""
