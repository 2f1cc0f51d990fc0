"""Sub-commands of `diffelec`: one module each, with `add_parser` and `run`."""
