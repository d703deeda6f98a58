"""Write a table: CSV with the raw numbers, Markdown and LaTeX for reading, all from the one frame."""

from __future__ import annotations

import html
import re
import textwrap
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from posenc.files import write_bytes
from posenc.papers.material import Column, Table

MISSING = "–"
LETTERS_PER_COLUMN = 7  # headings over several columns wrap to about the width of the numbers below
SHORT = 10  # letters of a heading that is never broken
LATEX_ESCAPES = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}", "]": "{]}", **{c: f"\\{c}" for c in "&%$#_{}"},
    "–": "--", "−": "$-$", "†": r"$\dagger$", "±": r"$\pm$", "×": r"$\times$", "σ": r"$\sigma$", "π": r"$\pi$",
}  # fmt: skip


def write_table(table: Table, stem: Path) -> list[Path]:
    """Write stem.csv, stem.md and stem.tex; return their paths."""
    texts = {"csv": csv_text(table), "md": markdown_text(table), "tex": latex_text(table)}
    # Not with_suffix: a stem may have dots of its own.
    files = {stem.with_name(f"{stem.name}.{kind}"): text.encode() for kind, text in texts.items()}
    for path, content in files.items():
        write_bytes(path, content)
    return list(files)


def csv_text(table: Table) -> str:
    """The raw numbers in full precision, missing ones empty, headings in one line; the notes stand elsewhere."""
    flat = table.frame.set_axis([" / ".join(levels(column)) for column in table.frame.columns], axis=1)
    return flat.to_csv(index_label=row_heading(table.frame), lineterminator="\n")


def markdown_text(table: Table) -> str:
    """A pipe table with the notes below. A heading's levels stand under each other, for cells cannot span."""
    frame = table.frame
    headings = ["<br>".join(map(escape_markdown, levels(column))) for column in frame.columns]
    ruler = ["---:" if is_number(frame[column]) else ":---" for column in frame.columns]
    cells = [[escape_markdown(cell) for cell in row] for row in shown_rows(table)]
    rows = [[escape_markdown(row_heading(frame)), *headings], [":---", *ruler], *cells]
    notes = [f"\n{escape_markdown(note)}" for note in table.notes]
    return "\n".join([*("| " + " | ".join(row) + " |" for row in rows), *notes]) + "\n"


def html_text(table: Table) -> str:
    """A table element with the notes below, equal neighbours in the headings spanned."""
    frame = table.frame
    headings = [levels(column) for column in frame.columns]
    lines = []
    for level in range(len(headings[0])):
        last = level == len(headings[0]) - 1
        label = row_heading(frame) if last else ""
        spans = [(heading, 1) for heading in headings] if last else spanned(headings, level)
        cells = "".join(f'<th colspan="{span}">{html.escape(path[level])}</th>' for path, span in spans)
        lines.append(f"<tr><th>{html.escape(label)}</th>{cells}</tr>")
    head = "".join(lines)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in shown_rows(table)
    )
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{notes}"


def spanned(headings: list[tuple[str, ...]], level: int) -> list[tuple[tuple[str, ...], int]]:
    """Runs of headings that agree down to a level, with their lengths: equal names under different headings differ."""
    return [(path, len(list(run))) for path, run in groupby(heading[: level + 1] for heading in headings)]


def latex_text(table: Table) -> str:
    r"""A booktabs tabular with the notes below, for a table environment; it shrinks where it is wider than the text."""
    frame = table.frame
    alignment = "l" + "".join("r" if is_number(frame[column]) else "l" for column in frame.columns)
    body = [" & ".join(map(escape_latex, row)) + r" \\" for row in shown_rows(table)]
    notes = (r" \\" + "\n").join(map(escape_latex, table.notes))
    lines = [
        r"% needs \usepackage{booktabs,graphicx}",
        r"\begingroup",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        *latex_heading(frame),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        *([r"\par\smallskip", r"\parbox{\linewidth}{\raggedright", notes + "}"] if notes else []),
        r"\endgroup",
    ]
    return "\n".join(lines) + "\n"


def latex_heading(frame: pd.DataFrame) -> list[str]:
    """A line per level of the headings, with rules under all but the last; equal neighbours are spanned."""
    headings = [levels(column) for column in frame.columns]
    *upper, last = range(len(headings[0]))
    lines = []
    for level in upper:
        cells, rules, start = [""], [], 2
        for path, span in spanned(headings, level):
            cells.append(rf"\multicolumn{{{span}}}{{c}}{{{wrapped(path[-1], span)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
            start += span
        lines += [" & ".join(cells) + r" \\", " ".join(rules)]
    names = [rf"\multicolumn{{1}}{{c}}{{{wrapped(heading[last], 1)}}}" for heading in headings]
    return [*lines, " & ".join([escape_latex(row_heading(frame)), *names]) + r" \\"]


def wrapped(heading: str, span: int) -> str:
    """A heading over `span` columns, broken into as few lines as fit there, of about equal length."""
    words = heading.split()
    longest = max(map(len, words), default=1)
    fewest = len(textwrap.wrap(heading, max(longest, SHORT, LETTERS_PER_COLUMN * span)))
    even = next(width for width in range(longest, 1000) if len(textwrap.wrap(heading, width)) <= fewest)
    lines = [escape_latex(line) for line in textwrap.wrap(heading, even)]
    return "".join(lines) if len(lines) < 2 else r"\shortstack{" + r"\\".join(lines) + "}"


def shown_rows(table: Table) -> list[list[str]]:
    """The cells as they are read, row labels first."""
    specs = [table.formats.get(column, "") for column in table.frame.columns]
    return [
        [str(label), *(shown(value, spec) for value, spec in zip(row, specs, strict=True))]
        for label, row in zip(table.frame.index, table.frame.itertuples(index=False, name=None), strict=True)
    ]


def shown(value: Any, spec: str) -> str:
    """One cell as text."""
    if pd.isna(value):
        return MISSING
    return value if isinstance(value, str) else format(value, spec)


def is_number(column: pd.Series) -> bool:
    """Whether a column holds numbers, which stand to the right."""
    return pd.api.types.is_numeric_dtype(column)


def levels(column: Column) -> tuple[str, ...]:
    """A column's heading from the outermost level to the innermost."""
    return column if isinstance(column, tuple) else (column,)


def row_heading(frame: pd.DataFrame) -> str:
    """The heading over the row labels."""
    return str(frame.index.name or "")


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_|<>\[\]~$])", r"\\\1", " ".join(text.split()))


def escape_latex(text: str) -> str:
    """Text that LaTeX shows as it is."""
    return "".join(LATEX_ESCAPES.get(letter, letter) for letter in " ".join(text.split()))
