from .bad_inputs import TABLE, cases, table


def test_the_table_of_bad_inputs_lists_every_case():
    again = "run python -m tests.fitting.optical.bad_inputs"
    assert TABLE.read_text(encoding="utf-8") == table(), again


def test_every_bad_input_has_its_own_name():
    names = cases()
    assert len(names) > 200
    assert len(set(names)) == len(names)
