"""Runnable comparisons, each with its printed result kept in `results`."""

import os

from fitting import cli

cli.set_compiler(os.environ)  # before JAX is loaded, as on the command line
