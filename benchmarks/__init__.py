"""Runnable comparisons, each with its printed result kept in `results`."""

import os

from fitting import cli

cli.set_compiler(os.environ)  # before JAX starts, as on the command line
