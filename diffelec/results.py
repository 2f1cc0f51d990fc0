"""How a simulation can end: one sentence of cause, one of remedy."""

import equinox as eqx


class RESULTS(eqx.Enumeration):
    """Outcome of `simulate`; compare with `==`, read with `RESULTS[...]`."""

    successful = ""
    start_outside_limits = (
        "The voltage (or current) limit of the first step is already passed at its "
        "start: the contacts or the initial stoichiometry put the cell beyond it. "
        "Check the sign of the current, the limit and kappa at the start; or begin "
        "with a smaller current, or with a hold ('Hold at 4.2 V for 10 hours')."
    )
    no_consistent_start = (
        "No potentials satisfy the network and the control at the start of the step. "
        "Check that the set-point is within reach of the open-circuit potential."
    )
    no_end = (
        "The step ran for its longest time without reaching its cut-off. Give it a "
        "duration, or a cut-off that the cell can reach."
    )
    max_steps_reached = (
        "The integrator used up its steps before the end of the protocol step. Raise "
        "`max_steps` or loosen `rtol`; smooth a recorded series that is noisy."
    )
    step_size_too_small = (
        "The integrator could not go on: a quantity left the range of floating-point "
        "numbers or the step size vanished. Check the curves for extreme values."
    )
    left_domain = (
        "A stoichiometry left the interval (0, 1), or began outside of it. Correct the "
        "initial one, tighten `rtol`, or check that the open-circuit potential stops "
        "the reaction at both ends."
    )
