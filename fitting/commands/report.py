"""`diffelec report`: folders of results as one page to read, print or send."""

import argparse
import sys
from pathlib import Path

from . import study


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `report` and its arguments."""
    parser = subparsers.add_parser(
        "report",
        help="put folders of results onto one page",
        description="Writes report.html to the folder --out: of every folder of "
        "results (and those inside it) what was asked, what was found, its figures "
        "and its short tables. The page needs no file beside it.",
    )
    parser.add_argument(
        "results", metavar="FOLDER", type=Path, nargs="+", help="of earlier runs"
    )
    study.add_folder(parser, required=True)
    return parser


def run(arguments) -> None:
    """Reads, writes."""
    from .. import files, folders, page
    from ..wording import counted

    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    for folder in arguments.results:
        if not folder.is_dir():
            raise ValueError(f"'{folder}' must be a folder of results, but is none.")
    once = {}  # named twice, or within another one: shown where it came first
    for folder in arguments.results:
        for part in page.parts_of(folder):
            once.setdefault(part.folder.resolve(), part)
    parts = list(once.values())
    text = page.page(parts)
    with study.result_folder(arguments) as folder:
        (folder / "report.html").write_text(text, encoding="utf-8")
        files.write_json(
            folder / files.STUDY,
            {
                "format": "diffelec report",
                "version": 1,
                "date": study.date(),
                "title": "report",
                "sources": [str(part.folder) for part in parts],
                "files": ["report.html", files.STUDY],
            },
        )
    folders = counted(len(parts), "folder")
    print(f"wrote report.html of {folders} to {arguments.out}", file=sys.stderr)
