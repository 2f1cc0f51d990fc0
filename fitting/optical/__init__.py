"""The optical side: from a film of particles to the times at which they reacted.

Rooms, from the ground up; each is imported when first asked for.

What all rooms exchange:
  `traces`: intensities of particles at the instants of frames.

Films:
  `stamps`: instants written in names, labels and tags of frames.
  `sources`: raw frames by number, whatever holds them.
  `tiff`: TIFF stacks.
  `pictures`: folders of PNG, JPEG and TIFF.
  `video`: MP4, AVI and the like (extra `video`).
  `frame_times`: the most trusted of what tells the time of frames.
  `frames`: a film, opened frame by frame: begin here.

From frames to traces:
  `regions`: where particles lie in the reference frame.
  `circles`: circles on a frame, to be drawn.
  `region_files`: regions from circles, ImageJ and label images.
  `sampling`: values of a frame at places that move.
  `bands`: bands of spatial frequency in which frames are compared.
  `peaks`: tops of correlations.
  `registration`: shifts of frames.
  `proposal`: regions found where a film changes (extra `segment`).
  `tilts`: light that leans to one side.
  `illumination`: lamp, focus and camera, on ground that does not react.
  `quality`: what was measured beside the intensities.
  `measure`: from film and regions to traces.
  `trace_files`: traces, quality and regions as tables.
  `quality_figures`: figures to judge regions and frames by.

Tables of traces and files of cyclers:
  `cells`: cells of tables as numbers, durations and dates.
  `time_axis`: whether a time can be a test's, and repairs on request.
  `cycler_nested`: rows of cycles, steps and records below each other.
  `cycler_text`: text exports as sheets.
  `cycler_current`: unit and sign of a current.
  `cycler_time`: the time of a cycler's rows.
  `cycler_books`: workbooks and binaries as sheets (extras `excel`, `neware`).
  `cycler_columns`: which instrument, which column, which unit.
  `cycler`: a cycler's file as one table.
  `trace_clocks`: times of rows of tables of intensities.
  `trace_layouts`: what each column of a table of intensities is.
  `trace_tables`: tables of intensities as traces, ImageJ's included.
  `hinges`: when a film shows that the current turned or stopped.
  `clock`: the offset between the clocks of film and cycler.

From traces to onsets:
  `half_cycles`: half cycles on the film's clock, and the state of charge.
  `shapes`: shapes that a rise may have.
  `jump_fit`: a jump between two slopes.
  `midpoints`: midpoint and duration of a rise of unknown shape.
  `verdicts`: what is known of one particle, and the rules for it.
  `onsets`: what is known of every particle in every half cycle.

What all particles do:
  `degrees`: how far each has reacted along a half cycle.
  `survival`: the share that has reacted, from times and bounds.
  `population`: one after another or together, with intervals.
  `onset_tables`: onsets as events for a fit, tables and words.

Figures:
  `optical_figures`: traces, and what all particles do.
  `still_film`: a film whose frames are moved back.
  `film_figures`: onset map, montage, kymograph.

Made films:
  `film_circles`: where particles lie.
  `film_rises`: what they show, and when that truly rises.
  `film_plan`: what a film shall be.
  `film_course`: motion, light and focus over its frames.
  `film_scene`: its frames, drawn one at a time.
  `film`: the film, with the truth beside it.
"""

import importlib

_NAMESPACES = (
    "bands",
    "cells",
    "circles",
    "clock",
    "cycler",
    "cycler_books",
    "cycler_columns",
    "cycler_current",
    "cycler_nested",
    "cycler_text",
    "cycler_time",
    "degrees",
    "film",
    "film_circles",
    "film_course",
    "film_figures",
    "film_plan",
    "film_rises",
    "film_scene",
    "frame_times",
    "frames",
    "half_cycles",
    "hinges",
    "illumination",
    "jump_fit",
    "measure",
    "midpoints",
    "onset_tables",
    "onsets",
    "optical_figures",
    "peaks",
    "pictures",
    "population",
    "proposal",
    "quality",
    "quality_figures",
    "region_files",
    "regions",
    "registration",
    "sampling",
    "shapes",
    "sources",
    "stamps",
    "still_film",
    "survival",
    "tiff",
    "tilts",
    "time_axis",
    "trace_clocks",
    "trace_files",
    "trace_layouts",
    "trace_tables",
    "traces",
    "verdicts",
    "video",
)


def __getattr__(name: str):
    if name in _NAMESPACES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__():
    return sorted([*globals(), *_NAMESPACES])
