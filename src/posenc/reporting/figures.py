"""Write a figure: PDF for the paper, PNG for the screen, CSV of what it plots. Equal figures give equal bytes."""

from __future__ import annotations

import textwrap
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure as Canvas
from matplotlib.transforms import Bbox

from posenc.files import write_bytes
from posenc.papers.material import Figure
from posenc.reporting.style import SMALL, applied

RESOLUTION = 200  # dots per inch of the PNG and of pictures inside the PDF
PADDING = 0.03  # inches around what reaches over the page's edge
LETTERS_PER_INCH = 21  # of DejaVu Sans at the size of notes
# Dates and versions would make equal figures differ.
FIXED_METADATA = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": "posenc"},
    "png": {"Software": None},
}


def write_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write stem.pdf, stem.png and stem.csv; return their paths."""
    contents = pictures_of(figure) | {"csv": figure.plotted.to_csv(index=False, lineterminator="\n").encode()}
    # Not with_suffix: a stem may have dots of its own.
    files = {stem.with_name(f"{stem.name}.{kind}"): content for kind, content in contents.items()}
    for path, content in files.items():
        write_bytes(path, content)
    return list(files)


def pictures_of(figure: Figure) -> dict[str, bytes]:
    """The figure with its notes below, as "pdf" and "png"."""
    canvas = figure.figure
    with applied():
        canvas.draw_without_rendering()  # panels find their places when drawn, and keep them
        layout = canvas.get_layout_engine()
        canvas.set_layout_engine("none")
        notes = canvas.text(
            PADDING / canvas.get_figwidth(),
            0.0,
            note_block(canvas, figure.notes),
            fontsize=SMALL,
            color="0.35",
            va="top",
        )
        try:
            box = page(canvas)
            return {kind: saved(canvas, kind, box) for kind in FIXED_METADATA}
        finally:
            notes.remove()
            canvas.set_layout_engine(layout)


def saved(canvas: Canvas, kind: str, box: Bbox) -> bytes:
    """What lies in a box, in inches, as "pdf" or "png"."""
    buffer = BytesIO()
    canvas.savefig(
        buffer, format=kind, dpi=RESOLUTION, bbox_inches=box, facecolor="white", metadata=FIXED_METADATA[kind]
    )
    return buffer.getvalue()


def note_block(canvas: Canvas, notes: list[str]) -> str:
    """The notes as lines no wider than the figure."""
    width = int(canvas.get_figwidth() * LETTERS_PER_INCH)
    return "\n".join(textwrap.fill(note, width) for note in notes)


def page(canvas: Canvas) -> Bbox:
    """The figure's box in inches: its exact width, and as high as labels and notes need."""
    drawn = canvas.get_tightbbox()
    width, height = canvas.get_size_inches()
    return Bbox([[0.0, min(0.0, drawn.y0 - PADDING)], [width, max(height, drawn.y1 + PADDING)]])
