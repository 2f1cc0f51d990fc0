"""Tables of particles as electrodes: units, columns, cells that cannot be."""

import json

import numpy as np
import pytest

from fitting import files

HEADER = "particle,x_um,y_um,z_um,radius_um"


def table(tmp_path, *rows, header=HEADER):
    path = tmp_path / "particles.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_particle_table_is_read_in_si(tmp_path):
    header = HEADER + ",imaged,initial_stoichiometry"
    path = table(
        tmp_path, "a,0,0,5,5,1,0.9", "# note", "b,0,1,14,4,no,0.8", header=header
    )
    read = files.read_particle_table(path)
    np.testing.assert_allclose(read["position"], [[0, 0, 5e-6], [0, 1e-6, 14e-6]])
    np.testing.assert_allclose(read["radius"], [5e-6, 4e-6])
    assert read["particle"].tolist() == ["a", "b"]
    assert read["imaged"].tolist() == [True, False]
    assert read["initial_stoichiometry"].tolist() == [0.9, 0.8]
    assert "multiplicity" not in read


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,0,0,nan,4", r"line 3, column z_um, must be a finite number, but is 'nan'"),
        ("b,0,0,x,4", r"line 3, column z_um, must be a finite number, but is 'x'"),
        ("b,0,0,1,-4", r"line 3, column radius_um, must be positive, but is -4 .*'b'"),
        (
            "b,0,0,1,4000",
            r"column radius_um, must be .* 1 nm .* is 0.004 m; check",
        ),
        ("b,0,0,1", r"line 3, must have 5 cells, but has 4"),
    ],
)
def test_bad_cell_of_a_table_is_named(row, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        files.read_particle_table(table(tmp_path, "a,0,0,5,5", row))


def test_table_needs_its_columns_and_no_others(tmp_path):
    with pytest.raises(ValueError, match="must have the column radius_um"):
        files.read_particle_table(
            table(tmp_path, "a,0,0,0", header="particle,x_um,y_um,z_um")
        )
    with pytest.raises(ValueError, match="has the column 'size', but columns are"):
        files.read_particle_table(
            table(tmp_path, "a,0,0,0,5,1", header=HEADER + ",size")
        )
    with pytest.raises(ValueError, match="one row or more"):
        files.read_particle_table(table(tmp_path))


def test_electrode_from_a_table_joins_touching_spheres(tmp_path):
    table(tmp_path, "a,0,0,5,5,1", "b,0,0,14,4,0", header=HEADER + ",imaged")
    network = {
        "particle_table": "particles.csv",
        "contact_radius_um": 0.5,
        "carbon_share": 0.0,
    }
    (tmp_path / "e.json").write_text(json.dumps({"network": network}))
    electrode = files.read_electrode(tmp_path / "e.json")
    topology = electrode.network.topology
    labels = topology.node_labels
    edges = {
        (labels[t], labels[h])
        for t, h in zip(topology.tail, topology.head, strict=True)
    }
    assert edges == {("a", "b"), ("collector", "a")}
    np.testing.assert_allclose(electrode.network.shape_tail[0], 5e5)
    assert topology.imaged.tolist() == [True, False]
    np.testing.assert_allclose(electrode.radius, [5e-6, 4e-6])
