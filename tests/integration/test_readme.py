"""What README says of fits from Python, run as it stands there."""

import pathlib

import jax
import numpy as np
import pytest

ONSETS = {"top 0": 3.1, "top 1": 4.9, "top 2": 7.4, "top 3": 8.3, "top 4": 11.2}
# As it stands there it runs for minutes.
SHORTER = {
    "electrode, protocol, events)\nq": "electrode, protocol, events, rtol=1e-4)\nq",
    "size, 3, seed=0": "size, 1, seed=0",
    "num_warmup=200": "num_warmup=10, max_depth=1",
    "contact_radius=0.5e-6": "contact_radius=0.5e-6, num_shells=6",
    "Plan(4, 500, seed=0)": "Plan(2, 4, seed=0)",
}


def examples() -> list[str]:
    """The blocks of Python, the one of many solves apart."""
    text = (pathlib.Path(__file__).parents[2] / "README.md").read_text("utf-8")
    blocks = [part.split("```")[0] for part in text.split("```python")[1:]]
    return [block for block in blocks if "diffelec.batch" not in block]


def test_fits_and_draws_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [f"{name},onset,{time},0.2" for name, time in ONSETS.items()]
    table = "\n".join(["particle,event,time_h,sd_h", *rows])
    pathlib.Path("onsets.csv").write_text(table, "utf-8")
    whole = "\n".join(examples())
    for as_there, shorter in SHORTER.items():
        assert whole.count(as_there) == 1
        whole = whole.replace(as_there, shorter)

    names: dict = {}
    exec(compile(whole, "README.md", "exec"), names)

    assert "converged" in capsys.readouterr().out
    predicted = np.asarray(names["found"].prediction.times) / 3600.0
    assert predicted == pytest.approx(list(ONSETS.values()), abs=0.4)
    draws = names["samples"].draws
    assert draws.raw.shape == (2, 4, names["space"].size)
    assert np.all(np.isfinite(draws.log_density))
    values = jax.vmap(jax.vmap(names["space"].constrain))(draws.raw)
    assert values["log10 contact radius"].shape == (2, 4, 7)
