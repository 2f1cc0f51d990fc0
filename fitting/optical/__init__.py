"""The optical side: from a film of particles to the times at which they reacted.

Rooms, from the ground up: `traces` (what all others exchange), `frames`,
`registration`, `illumination`, `regions`, `measure`; `cycler`, `clock`, `trace_tables`;
`onsets`, `population`; `film` (made films); `optical_figures`.
"""
