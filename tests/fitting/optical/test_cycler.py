"""Cyclers' files: every layout reads to one schema with the same values."""

import dataclasses
import sys
import types
from datetime import UTC, datetime

import numpy as np
import pytest

from fitting.events import Event, Events
from fitting.optical.cycler import CyclerTable, describe, largest_charge, read_cycler
from fitting.readers import read_recording
from tests.helpers import data_file

from . import vendor_files as vendor

HOUR = 3600.0
LAYOUTS = {
    "biologic": (vendor.biologic, "BioLogic", {}),
    "biologic without header": (vendor.biologic_bare, "BioLogic", {}),
    "biologic with dates": (vendor.biologic_stamped, "BioLogic", {}),
    "arbin": (vendor.arbin, "Arbin", {}),
    "arbin book": (vendor.arbin_book, "Arbin", {}),
    "maccor": (vendor.maccor, "Maccor", {"current_unit": "mA"}),
    "maccor with states": (vendor.maccor_states, "Maccor", {}),
    "neware": (vendor.neware, "Neware", {}),
    "neware steps": (vendor.neware_steps, "Neware", {}),
    "neware book": (vendor.neware_book, "Neware", {}),
    "basytec": (vendor.basytec, "Basytec", {}),
    "novonix": (vendor.novonix, "Novonix", {}),
    "plain": (vendor.plain, "plain table", {}),
    "excel text": (vendor.excel_text, "plain table", {}),
    "bdf": (vendor.battery_data_format, "Battery Data Format", {}),
}
DATED = ("biologic", "biologic with dates", "arbin", "arbin book", "maccor", "neware")
DATED += ("neware book", "basytec", "novonix", "bdf")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The made-up recording, read back from every layout."""
    folder, data = tmp_path_factory.mktemp("layouts"), vendor.made()
    read = {}
    for name, (write, _, options) in LAYOUTS.items():
        path = write(folder / f"{name}.csv", data)
        read[name] = read_cycler(path, **options)
    return data, read


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_back_the_same_values(tables, layout):
    data, table = tables[0], tables[1][layout]
    assert table.instrument == LAYOUTS[layout][1]
    # The time of steps leaves out what passes between them: one interval each.
    lost = 60.0 * (data.step - 1) if layout == "neware steps" else 0.0
    np.testing.assert_allclose(table.time, data.time - lost, atol=1e-4)
    np.testing.assert_allclose(table.voltage, data.voltage, atol=1e-7)
    np.testing.assert_allclose(table.current, data.current, atol=1e-11)


@pytest.mark.parametrize("layout", DATED)
def test_dates_are_read_as_seconds_since_1970(tables, layout):
    data, table = tables[0], tables[1][layout]
    expected = np.array([d.timestamp() for d in data.dates])
    np.testing.assert_allclose(table.columns["unix_time_second"], expected, atol=1e-3)
    assert table.start == pytest.approx(vendor.START.timestamp(), abs=1e-3)


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"plain", "excel text"}))
def test_steps_keep_their_numbers(tables, layout):
    data, table = tables[0], tables[1][layout]
    np.testing.assert_array_equal(table.columns["step_id"], data.step)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_a_recording_of_two_half_cycles(tables, layout):
    recording = tables[1][layout].recording()
    (first, turn), (_, end) = recording.half_cycles()
    late = 60.0 * (layout == "neware steps")
    assert first == pytest.approx(11 * 60.0 - late, abs=1.0)
    assert turn == pytest.approx(181 * 60.0 - 3 * late, abs=1.0)
    assert end == recording.end


def test_the_plain_reader_reads_every_layout(tmp_path):
    path = vendor.maccor(tmp_path / "cell.csv", vendor.made())
    recording = read_recording(path, current_unit="mA")
    assert recording.current.min() == pytest.approx(-0.5e-3)


def test_a_description_tells_format_span_half_cycles_and_notes(tables):
    lines = describe(tables[1]["maccor"])
    assert lines[0] == "maccor.csv: Maccor, 341 rows, 5.667 h, 3.39 to 4.21 V"
    assert lines[1].startswith("  half cycle 1: charge, 0.1833 to 3 h, 1.246 mAh")
    assert lines[2].startswith("  half cycle 2: discharge")
    assert any("the current has no sign" in line for line in lines)


def test_a_description_tells_the_bounds_that_events_are_checked_against(tmp_path):
    path = tmp_path / "cell.csv"
    rows = ["0,3,1", "10,3.9,1", "21.01,4.3,1", "21.2,4.2,-1", "40,3,-1"]
    path.write_text("\n".join(["time_h,voltage_V,current_mA", *rows]))
    table = read_cycler(path)
    half = table.recording().half_cycle(0)
    late = Events.from_rows([Event("a", "midpoint", time=30 * HOUR, sd=HOUR)])
    with pytest.raises(ValueError, match=r"recorded half cycle, 0 to 21\.01 h, but is"):
        half.check_events(late)
    charge = "  half cycle 1: charge, 0 to 21.01 h, 21.01 mAh at up to 1 mA (C/21)"
    assert describe(table)[1] == charge


def test_the_largest_charge_is_that_of_a_half_cycle(tables):
    assert largest_charge(tables[1]["plain"]) == pytest.approx(0.5e-3 * 9000, rel=0.02)


def test_a_current_that_is_missing_is_that_of_the_charge(tmp_path):
    data = vendor.made()
    rows = [
        f"{t},{v},{q}" for t, v, q in zip(*data[:2], 1e3 * data.charge, strict=True)
    ]
    path = tmp_path / "cell.csv"
    path.write_text("\n".join(["time/s,Ewe/V,(Q-Qo)/mA.h", *rows]))
    table = read_cycler(path)
    inside = (data.step == 2) & (np.roll(data.step, 2) == 2)
    np.testing.assert_allclose(table.current[inside], 0.5e-3, rtol=1e-6)
    assert "has no current; it was taken from its column (Q-Qo)/mA.h" in table.notes[-1]


def test_a_file_whose_discharge_is_positive_is_turned_on_request(tmp_path):
    data = vendor.made()
    path = vendor.plain(tmp_path / "cell.csv", data._replace(current=-data.current))
    with pytest.raises(ValueError, match="falls while the current is positive"):
        read_cycler(path).recording()
    assert "give discharge_positive" in " ".join(read_cycler(path).notes)
    turned = read_cycler(path, discharge_positive=True)
    np.testing.assert_allclose(turned.current, data.current, atol=1e-11)


def test_a_zone_moves_the_dates(tmp_path):
    path = vendor.novonix(tmp_path / "cell.csv", vendor.made())
    here, there = read_cycler(path), read_cycler(path, zone="America/New_York")
    assert there.start - here.start == pytest.approx(4 * HOUR)
    assert "names no time zone" in here.notes[0]
    assert not any("time zone" in note for note in there.notes)


@pytest.mark.parametrize(
    ("dates", "start"),
    [
        (["2025-03-14T10:00:00+02:00", "2025-03-14T10:10:00+02:00"], 1741939200.0),
        (["2025-03-14 08:00:00Z", "2025-03-14 08:10:00Z"], 1741939200.0),
        (["45730.33333333", "45730.34027778"], 1741939200.0),
        (["1741939200.0", "1741939800.0"], 1741939200.0),
        (["1741939200000", "1741939800000"], 1741939200.0),
        (["14.03.2025 08:00:00", "14.03.2025 08:10:00"], 1741939200.0),
        (["14-Mar-25 12:00:00 AM", "14-Mar-25 12:10:00 AM"], 1741910400.0),
    ],
)
def test_dates_of_every_form_are_seconds_since_1970(dates, start, tmp_path):
    path = tmp_path / "cell.csv"
    path.write_text("\n".join(["Date,voltage_V", *(f"{d},3.5" for d in dates)]))
    table = read_cycler(path)
    assert table.start == pytest.approx(start, abs=0.01)
    assert table.time[-1] == pytest.approx(600.0, abs=0.01)


def test_a_sign_that_contradicts_the_states_is_turned(tmp_path):
    rows = [f"{60 * k},{3.5 + 0.01 * k},-0.1,CC Chg" for k in range(10)]
    path = tmp_path / "cell.csv"
    path.write_text("\n".join(["time_s,voltage_V,current_A,State", *rows]))
    assert np.all(read_cycler(path).current == 0.1)


def test_a_current_per_mass_is_multiplied_by_the_mass(tmp_path):
    path = tmp_path / "cell.csv"
    path.write_text("time_h,voltage_V,current_mA_per_g\n0,3.0,20\n1,3.5,20\n2,4,20\n")
    assert read_cycler(path, mass=5e-6).current[0] == pytest.approx(1e-4)


REAL = {
    "sample_data_arbin.csv": ("Arbin", 13, 271.214, 2.650138),
    "sample_data_basytec.txt": ("Basytec", 74, 70.236, 0.453506),
    "sample_data_maccor.csv": ("Maccor", 15, 13.06, 0.028844),
    "sample_data_novonix.csv": ("Novonix", 207, 3.4131889 * HOUR, 0.5),
    "Sample_data_biologic_no_header.mpt": ("BioLogic", 13, 120.1220, 0.0),
    "Sample_data_biologic_timestamped.txt": ("BioLogic", 8, 12.464, 0.450017),
    "sample.bdf.csv": ("Battery Data Format", 3, 2.0, 0.1),
    "lnmo_li_halfcell_pocv_time_fixed_every10th.csv": (
        *("Battery Data Format", 1786, 147072.1, 3.307578e-4),
    ),
    "test.nda": ("Neware", 439, 721.5, None),
    "test.ndax": ("Neware", 1464, 43800.0, 1.2e-4),
    "filetype14-0.ndax": ("Neware", 67, 655.4, 0.0),
    "GCPL-0.mpr": ("BioLogic", 4, 2.813, 0.0),
    "00_test_02_MB_C01.mpr": ("BioLogic", 11, 10.0, 5.671815e-5),
}
SCHEMA = {"test_time_second", "voltage_volt", "current_ampere", "unix_time_second"}
SCHEMA |= {"cycle_count", "step_count", "step_id"}


@pytest.mark.parametrize("name", REAL)
def test_a_real_sample_reads_to_the_schema(name):
    instrument, rows, span, largest = REAL[name]
    if name.endswith(("nda", "ndax")):
        pytest.importorskip("NewareNDA")
    if name.endswith("mpr"):
        pytest.importorskip("galvani", reason="the extra `biologic` is not installed")
    options = {"current_unit": "mA"} if "maccor" in name else {}
    table = read_cycler(data_file(name), **options)
    assert isinstance(table, CyclerTable)
    assert table.instrument == instrument
    assert set(table.columns) <= SCHEMA
    assert all(len(values) == rows for values in table.columns.values())
    for key in ("test_time_second", "voltage_volt", "current_ampere"):
        assert np.all(np.isfinite(table.columns[key]))
    assert np.ptp(table.time) == pytest.approx(span, rel=1e-2, abs=0.2)
    assert np.all(np.diff(table.time) >= 0)
    if largest is not None:
        assert np.max(np.abs(table.current)) == pytest.approx(largest, rel=1e-4)


def test_a_binary_without_a_current_gives_that_of_its_charges(tmp_path, monkeypatch):
    numbers = [(0.0, 3.5, 0.0), (360.0, 3.6, 1.0), (720.0, 3.7, 2.0), (900.0, 3.6, -1)]
    names = ["time/s", "Ewe/V", "dq/mA.h"]
    data = np.array(numbers, [(name, float) for name in names])
    made = types.SimpleNamespace(data=data, timestamp=datetime(2026, 3, 4, 5, 6, 7))
    library = types.SimpleNamespace(MPRfile=lambda stream: made)
    monkeypatch.setitem(sys.modules, "galvani", types.SimpleNamespace(BioLogic=library))
    path = tmp_path / "cell.mpr"
    path.write_bytes(b"BIO-LOGIC MODULAR FILE")
    table = read_cycler(path)
    np.testing.assert_allclose(table.current, [0.01, 0.01, 0.02, -0.02])
    start = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()
    assert table.columns["unix_time_second"][0] == start
    assert any("the charge of each record over its time" in n for n in table.notes)


def test_a_real_half_cell_has_the_half_cycles_and_capacity_of_its_source():
    table = read_cycler(data_file("lnmo_li_halfcell_pocv_time_fixed_every10th.csv"))
    assert len(table.recording().half_cycles()) == 3
    assert largest_charge(table) / 3.6 == pytest.approx(6.29, rel=5e-3)


def test_hours_converted_twice_are_named_and_repaired_on_request():
    path = data_file("basytec_time_x3600_head600.bdf.csv")
    with pytest.raises(ValueError, match="of 30 h, 3600 times a usual 30 s") as caught:
        read_cycler(path)
    assert "test_time_second" in str(caught.value)
    table = read_cycler(path, repair_time=True)
    assert table.time[-1] == pytest.approx(1388173.6128 / 3600, rel=1e-9)
    assert "3600 times too large and was divided by it" in table.notes[0]


def test_a_time_that_falls_to_zero_at_steps_is_named_and_repaired_on_request():
    path = data_file("neware_time_reset_to_zero_head2000.bdf.csv")
    told = (
        r"line 724, .* goes from 7200 back to 0 s \(and 2 more rows do\).*repair_time"
    )
    with pytest.raises(ValueError, match=told):
        read_cycler(path)
    table = read_cycler(path, repair_time=True)
    assert np.all(np.diff(table.time) >= 0)
    assert table.time[722] == 7200.0
    assert table.time[723] == pytest.approx(7200.01)
    assert table.time[-1] == pytest.approx(19265.63)
    assert "line 724 and 2 more whose time fell back" in table.notes[0]
    assert len(table.recording().half_cycles()) == 2


def test_a_table_is_frozen(tables):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tables[1]["plain"].source = "other"


@pytest.mark.parametrize("added", ["# Cell 7, second charge", None])
def test_a_header_is_found_though_lines_above_it_came_or_went(added, tmp_path):
    data = vendor.made()
    path = vendor.biologic(tmp_path / "cell", data)
    head, *rest = path.read_bytes().split(b"\r\n")
    rest = rest[:2] + rest[3:] if added is None else [added.encode(), *rest]
    path.write_bytes(b"\r\n".join([head, *rest]))
    table = read_cycler(path)
    assert table.instrument == "BioLogic"
    np.testing.assert_allclose(table.time, data.time, atol=1e-4)


def test_a_unit_that_is_asked_for_beside_one_that_is_named_is_told_of(tmp_path):
    path = tmp_path / "cell.csv"
    rows = ["0,3,1", "1,3.9,1", "2,4.3,1"]
    path.write_text("\n".join(["time_h,voltage_V,current_mA", *rows]))
    table = read_cycler(path, current_unit="A")
    assert table.recording().current.max() == pytest.approx(1e-3)
    words = "column current_mA names its unit, which was taken"
    assert any(words in note for note in table.notes)
    assert not any("names its unit" in note for note in read_cycler(path).notes)


@pytest.mark.parametrize("name", ["test_time_millisecond", "time_msec", "Time (ms)"])
def test_times_in_milliseconds_are_read(tmp_path, name):
    path = tmp_path / "cell.csv"
    rows = [f"{60_000 * k},{3.5 + 0.01 * k},1" for k in range(20)]
    path.write_text("\n".join([f"{name},voltage_V,current_mA", *rows]))
    assert read_cycler(path).recording().time[-1] == pytest.approx(1140.0)


@pytest.mark.parametrize("unit", ["A", "mA"])
def test_currents_of_charge_and_discharge_apart_are_one(unit, tmp_path):
    time = 600.0 * np.arange(12)
    size, scale = 0.02 + 1e-3 * np.arange(12), {"A": 1.0, "mA": 1e3}[unit]
    rows = [f"Time (s),Voltage (V),Charge Current ({unit}),Discharge Current ({unit})"]
    for k, at in enumerate(time):
        cells = [f"{scale * size[k]:.4f}", "0" if k % 2 else ""]
        voltage = 3.5 + 0.01 * k if k < 6 else 3.6 - 0.01 * k
        rows.append(",".join([f"{at},{voltage}", *(cells if k < 6 else cells[::-1])]))
    path = tmp_path / "two.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    table = read_cycler(path)
    expected = np.where(np.arange(12) < 6, size, -size)
    np.testing.assert_allclose(table.current, expected, rtol=1e-9)
    assert any("Charge Current" in note for note in table.notes)
