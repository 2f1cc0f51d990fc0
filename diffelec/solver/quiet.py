"""What stands for a progress meter where nothing is shown."""

import equinox as eqx


class Quiet(eqx.Module):
    """A meter like `diffrax.NoProgressMeter`, without diffrax: to import that is a
    third of importing all that a solve needs.
    """

    def init(self):
        return None

    def step(self, state, progress):
        del progress
        return state

    def close(self, state):
        pass
