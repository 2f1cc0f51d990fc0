"""Runnable comparisons, each with its printed result kept in `results`."""
