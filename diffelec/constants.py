"""Physical constants as plain floats (CODATA 2018, exact by definition of the SI)."""

FARADAY = 96485.33212331001  # C/mol
GAS = 8.31446261815324  # J/(mol K)
ROOM_TEMPERATURE = 298.15  # K
LARGEST_RADIUS = 1e-3  # m; a particle or a contact said to be larger is in another unit
SMALLEST_RADIUS = 1e-9  # m; so is a particle of a table that is said to be smaller
COLDEST = 200.0  # K; a cell said to be colder was meant in °C


def thermal_voltage(temperature):
    """RT/F [V] at a temperature [K]."""
    return GAS * temperature / FARADAY
