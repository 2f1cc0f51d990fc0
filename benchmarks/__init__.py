"""Runnable comparisons, each with its printed result kept in `results`."""

import diffelec

diffelec.set_compiler()  # before JAX starts, as on the command line
