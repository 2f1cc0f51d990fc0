"""`diffelec infer`: from event times, or a film, to the posterior behind them.

Takes what `fit` takes, searches as it does, then samples about the optimum.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from . import from_film, idle, job, job_arguments, study

_ADAPTATION = (8, 300)  # rounds, draws of each
_ADAPTING = ("adapted", "slice")  # samplers that want a law
_CENTRE = "centre"  # file of what coordinates are about
_CHUNK = 10  # draws a file: what a kill costs each chain
_DEFAULTS = {"chains": 4, "draws": 500, "warmup": 300, "pilot": 200, "walkers": 64}
_JUMPERS = ("hmc", "slice")  # samplers that have a pilot
_NUMPYRO = ("nuts", "hmc")  # samplers that are its own
_PARTS_OF_LAW = ("middle", "factor", "alone")
_PACKAGES = ("jax", "jaxlib", "diffrax", "equinox", "numpyro", "numpy")
_RULES = (
    idle.Rule(("warmup",), ("sampler",), _NUMPYRO),
    idle.Rule(("pilot",), ("sampler",), _JUMPERS),
    idle.Rule(("walkers",), ("sampler",), ("tempered",)),
)


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `infer` and its arguments."""
    parser = subparsers.add_parser(
        "infer",
        help="sample the posterior of contacts and material curves",
        description="Searches as `diffelec fit` does, then draws from the posterior of "
        "contacts and curves by Markov chains, says whether the draws may be trusted, "
        "and writes them (posterior.nc, which ArviZ reads), tables and figures to the "
        "folder --out. An interrupted or killed run goes on with --resume, to the same "
        "draws.",
    )
    job_arguments.add_arguments(parser)
    _add_chains(parser)
    study.add_folder(parser, required=True)
    return parser


def _add_chains(parser: argparse.ArgumentParser) -> None:
    chains = parser.add_argument_group("chains")
    texts = {
        "chains": "that run, two or more at a time",
        "draws": "of each chain that are kept",
        "warmup": "of each chain of nuts or hmc in front, which adapt",
        "pilot": "of each chain behind those of hmc, or in front of slice: to a law "
        "fitted to them chains jump from then on; 0 for none",
        "walkers": "of tempered, which go from the prior to the posterior",
    }
    for name, text in texts.items():
        chains.add_argument(
            f"--{name}",
            metavar="N",
            type=int,
            default=_DEFAULTS[name],
            help=f"{text} (default {_DEFAULTS[name]})",
        )
    chains.add_argument(
        "--sampler",
        choices=("nuts", "hmc", "slice", "tempered", "adapted", "laplace"),
        default="nuts",
        help="nuts (default); hmc: trajectories of a length that warm-up finds, about "
        "alike in all chains, and jumps; slice: along ellipses of a law that is "
        "adapted to the posterior, and jumps, some ten solves a draw and no gradient; "
        "tempered: walkers find all modes from the prior on, then chains as of slice; "
        "adapted: weighted draws of such a law, a quick look; laplace: weighted draws "
        "of the normal law at the optimum, a quicker one",
    )
    chains.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run that was interrupted",
    )
    chains.add_argument(
        "--keep-chunks",
        action="store_true",
        help="keep the folder DIR.chunks that a run is resumed from",
    )


def run(arguments) -> None:
    """Reads, searches, samples, prints, writes."""
    from .. import folders, netcdf, posterior_files

    check(arguments)
    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    store = _store(arguments)
    with (
        study.resumable(arguments, store, "the draws so far"),
        from_film.stages(arguments) as before,
    ):
        prepared = job.prepare(before.arguments)._replace(
            sources=before.sources, folders=before.folders
        )
        centre, found = solve(prepared, store)
        print(posterior_files.text(found))
        with study.result_folder(arguments) as folder:
            names = write(folder, prepared, centre, found)
    if not arguments.keep_chunks and netcdf.missing() is None:
        study.remove(store)
    print(f"wrote {', '.join(names)} to {arguments.out}", file=sys.stderr)


def check(arguments) -> None:
    """Refuses arguments that cannot go together or cannot be."""
    job_arguments.check(arguments)
    leasts = {"chains": 1, "draws": 4, "warmup": 10, "pilot": 0, "walkers": 2}
    for name, least in leasts.items():
        value = getattr(arguments, name)
        if value < least:
            raise ValueError(f"--{name} must be {least} or more, but is {value}.")
    study.check_most(arguments, *leasts)
    if 0 < arguments.pilot < 10:
        raise ValueError(f"--pilot must be 0, or 10 or more, but is {arguments.pilot}.")
    idle.refuse(arguments, _RULES, _add_chains)


def _store(arguments):
    """The folder of stretches beside that of the results."""
    from ..chunks import Store

    return Store.beside(arguments.out)


def _pilot(arguments) -> int:
    """Draws of the pilot; whole files, together with warm-up."""
    if arguments.sampler not in _JUMPERS or not arguments.pilot:
        return 0
    front = arguments.warmup if arguments.sampler == "hmc" else 0
    return -(-(front + arguments.pilot) // _CHUNK) * _CHUNK - front


def _blank(arguments):
    """The sampler before anything is known of the posterior."""
    from .. import jumps, mixtures

    blank, num_pilot = _sampler(arguments), _pilot(arguments)
    if not num_pilot:
        return blank
    return jumps.Jumping(blank, mixtures.Mixture.example(), num_pilot)


def _sampler(arguments, law=None):
    """The sampler without jumps; blank where it wants a law that is not given."""
    import jax.numpy as jnp

    from .. import independent, parted, samplers, slices, tempering, trajectories

    if arguments.sampler == "laplace":
        return independent.Laplace()
    if arguments.sampler == "tempered":
        return tempering.Tempering(arguments.walkers)
    if arguments.sampler == "nuts":
        return samplers.NUTS(num_warmup=arguments.warmup)
    if arguments.sampler == "hmc":
        return trajectories.HMC(num_warmup=arguments.warmup)
    if law is None:
        wants = {"adapted": independent.Weighted, "slice": slices.Elliptical}
        return wants[arguments.sampler].example()
    own = {name: jnp.asarray(law[f"law_{name}"]) for name in _PARTS_OF_LAW}
    if arguments.sampler == "adapted":
        return independent.Weighted(parted.Parted(**own))
    return slices.Elliptical(**own)


def solve(prepared, store):
    """(centre, inference), with progress on stderr.

    Raises:
        SimulationError: where the model fails at the optimum.
        ValueError: for a run that cannot be begun, or resumed.
    """
    from .. import identity, inference, left_out, posterior, progress

    arguments, problem = prepared.arguments, prepared.setup.problem
    steps = arguments.max_steps
    same = identity.identity_of(problem, _blank(arguments), arguments.seed, _CHUNK)
    # The optimum that chains set out from is searched once, by the first start.
    same |= {"number of starts": arguments.starts, "limit of steps of a search": steps}
    (store.check if arguments.resume else store.create)(same)
    known = _known(prepared, store)
    centre = posterior.Centre(known["raw"], known["covariance"])
    target = posterior.Posterior.about(problem, centre)
    sampler = _sampler(arguments, known)
    samples, tempered = _sampled(prepared, target, sampler, store)
    with progress.Waiting("bands and predictions"):
        found = inference.infer(
            *(prepared.setup, samples, prepared.title),
            seed=arguments.seed,
            max_depth=getattr(sampler, "max_depth", None),
            tempered=tempered,
        )
    if left_out.can_leave_out(prepared.setup):
        with progress.Waiting("predictions without each particle"):
            flat = lambda leaf: leaf.reshape(-1, leaf.shape[-1])
            draws = flat(found.draws.raw), flat(found.predicted.times)
            without = left_out.leave_out(
                *(found.setup, *draws),
                seed=arguments.seed,
                ends=found.predicted.ends,
            )
        found = found._replace(left_out=without)
    return centre, found


def _sampled(prepared, target, sampler, store):
    """(samples, what tempering found or None)."""
    import jax

    from .. import coordinates, progress, sampling, tempering

    arguments, setup = prepared.arguments, prepared.setup
    plan = sampling.Plan(arguments.chains, arguments.draws, arguments.seed, _CHUNK)
    how = {"batched": jax.default_backend() != "cpu"}
    if not isinstance(sampler, tempering.Tempering):
        with progress.Draws() as shown:
            work = (target, sampler, store, plan, _pilot(arguments))
            return sampling.sample_jumping(*work, callback=shown, **how), None
    alone = coordinates.only_bounded(setup.problem.space, setup.events, setup.fitted)
    with progress.Powers() as shown:
        work = (target, alone, store, plan, sampler)
        return tempering.sample_tempered(*work, callback=shown, **how)


def _known(prepared, store) -> dict:
    """The optimum, its covariance and the law of independent draws, from an earlier
    start of the run or a search.
    """
    known = store.kept(_CENTRE)
    if known is None:
        try:
            known = _searched(prepared)
        except Exception:
            if not prepared.arguments.resume:
                store.remove()  # there is nothing yet that a run could go on with
            raise
        store.keep(_CENTRE, known)
    return known


def _searched(prepared) -> dict:
    """What `_known` gives, by a search."""
    found = job.search(prepared)
    print(f"search: {found.message()}", file=sys.stderr)
    known = {"raw": found.raw, "covariance": found.covariance}
    if prepared.arguments.sampler in _ADAPTING:
        known |= _law(prepared, found)
    return known


def _law(prepared, found) -> dict:
    """A law that is near to the posterior, by draws about the optimum."""
    import numpy as np

    from .. import coordinates, evidence, progress

    setup = prepared.setup
    alone = coordinates.only_bounded(setup.problem.space, setup.events, setup.fitted)
    rounds, count = _ADAPTATION
    with progress.Counted("adaptation", rounds * count) as shown:
        made, law = evidence.adapted(
            *(setup.problem, found),
            rounds=rounds,
            count=count,
            seed=prepared.arguments.seed,
            alone=alone,
            callback=lambda done: shown(f"{done} solves"),
        )
    remedy = f" (above {made.limit:.2f}: compare with --sampler tempered)"
    print(
        f"adaptation: {made.num_solves} draws are worth {made.effective:.0f}, the shape"
        f" of their weights is {made.shape:.2f}" + ("" if made.reliable else remedy),
        file=sys.stderr,
    )
    return {f"law_{name}": np.asarray(getattr(law, name)) for name in _PARTS_OF_LAW}


def write(folder: Path, prepared, centre, found) -> list[str]:
    """All files of a posterior into an empty folder; their names."""
    from .. import files, identity, netcdf, posterior_files, progress, review

    arguments = prepared.arguments
    again = command(arguments)
    attributes = {
        "title": prepared.title,
        "command": again,
        "seed": arguments.seed,
        "rtol": arguments.rtol,
        "sampler": arguments.sampler,
        "num_warmup": _blank(arguments).num_warmup,
        "data_digest": identity.data_digest(prepared.setup.problem),
        "versions": json.dumps(study.versions(_PACKAGES)),
        "inference_library": "numpyro" if arguments.sampler in _NUMPYRO else "diffelec",
        "verdict": found.diagnosis.verdict(),
    }
    missing = netcdf.missing()
    if missing is not None:
        print(
            f"diffelec: posterior.nc is left out, as {missing} is not installed; "
            "install the extra `io` and repeat with --resume: the draws are kept.",
            file=sys.stderr,
        )
    with progress.Waiting("writing files and figures"):
        job.copy_sources(folder, prepared)
        posterior_files.write(folder, found, attributes)
        files.write_electrode(
            folder / "electrode.json", review.fitted_electrode(prepared.setup, centre)
        )
        return job.write_study(
            *(folder, prepared, "diffelec infer", again),
            outcome=found.diagnosis.verdict(),
        )


def command(arguments) -> str:
    """The command line that repeats a run from within its folder of results."""
    own = [f"--{name} {getattr(arguments, name)}" for name in _DEFAULTS]
    chains = " ".join([*own, f"--sampler {arguments.sampler}"]).split()
    words = ["diffelec", "infer", *job_arguments.words(arguments), *chains]
    return shlex.join([*words, "--out", "again"])
