"""Table and figure writers: the numbers agree in every format, special characters survive, bytes are stable."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posenc.papers.material import Figure, Table
from posenc.reporting import style, tiles
from posenc.reporting.figures import write_figure
from posenc.reporting.tables import escape_latex, escape_markdown, wrapped, write_table

THIRD = 100 / 3


def grouped_table() -> Table:
    columns = pd.MultiIndex.from_tuples(
        [("published", "Natural & Text", "mean"), ("this run (50 % scale)", "Natural", "mean"),
         ("this run (50 % scale)", "Natural", "n"), ("this run (50 % scale)", "Text", "mean")]
    )  # fmt: skip
    rows = [[25.57, THIRD, 4.0, np.nan], [19.32, -THIRD / 100, np.nan, 1e-9]]
    frame = pd.DataFrame(rows, columns=columns, index=pd.Index(["gaussian", "no_mapping"], name="encoding"))
    formats = {column: ".0f" if column[-1] == "n" else ".2f" for column in columns}
    return Table(frame, formats, ["100 % of image_natural, $x^2$ & more.", "† not yet in this workflow."])


def written(table: Table, folder: Path) -> dict[str, str]:
    return {path.suffix: path.read_text() for path in write_table(table, folder / "table_3")}


def markdown_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def latex_rows(text: str) -> list[list[str]]:
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip()
    return [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in body.splitlines()]


def test_all_formats_show_the_same_numbers(tmp_path: Path) -> None:
    table = grouped_table()
    texts = written(table, tmp_path)
    raw = list(csv.reader(texts[".csv"].splitlines()))[1:]
    specs = list(table.formats.values())
    for numbers, markdown, latex in zip(raw, markdown_rows(texts[".md"])[2:], latex_rows(texts[".tex"]), strict=True):
        expected = [format(float(cell), spec) if cell else "–" for cell, spec in zip(numbers[1:], specs, strict=True)]
        assert markdown[1:] == expected
        assert [cell.strip().replace("--", "–") for cell in latex[1:]] == expected


def test_csv_keeps_every_digit(tmp_path: Path) -> None:
    table = grouped_table()
    back = pd.read_csv(write_table(table, tmp_path / "t")[0], index_col=0)
    assert (back.to_numpy() == table.frame.to_numpy())[~table.frame.isna().to_numpy()].all()
    assert back.isna().to_numpy().tolist() == table.frame.isna().to_numpy().tolist()
    assert back.columns[1] == "this run (50 % scale) / Natural / mean"
    assert back.index.name == "encoding"


def test_latex_headings_span_all_columns_at_every_level(tmp_path: Path) -> None:
    text = written(grouped_table(), tmp_path)[".tex"]
    heading = text.split(r"\toprule")[1].split(r"\midrule")[0]
    lines = [line for line in heading.splitlines() if "multicolumn" in line]
    assert [sum(map(int, re.findall(r"\\multicolumn\{(\d+)\}", line))) for line in lines] == [4, 4, 4]
    assert r"\multicolumn{3}{c}{this run (50 \% scale)}" in lines[0]
    assert r"\multicolumn{2}{c}{Natural} & \multicolumn{1}{c}{Text}" in lines[1]
    assert r"\cmidrule(lr){2-2} \cmidrule(lr){3-5}" in heading
    assert text.count("{tabular}") == 2
    assert text.count("{") == text.count("}")


def test_special_characters_are_escaped(tmp_path: Path) -> None:
    assert escape_latex("a_b & 5% $x$ #1 {y} ~ ^ \\ σ – †") == (
        r"a\_b \& 5\% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} $\sigma$ -- $\dagger$"
    )
    assert escape_markdown("a_b|c *d* <e> `f`\ng") == r"a\_b\|c \*d\* \<e\> \`f\` g"
    texts = written(grouped_table(), tmp_path)
    assert r"no\_mapping" in texts[".tex"]
    assert r"100 \% of image\_natural, \$x\textasciicircum{}2\$ \& more. \\" in texts[".tex"]
    assert r"$\dagger$ not yet" in texts[".tex"]
    assert r"| no\_mapping |" in texts[".md"]
    assert texts[".md"].endswith("\n\n† not yet in this workflow.\n")


def test_long_headings_break_evenly() -> None:
    assert wrapped("this run (laptop scale, bundled pictures)", 4) == (
        r"\shortstack{this run (laptop scale,\\bundled pictures)}"
    )
    assert wrapped("mean", 1) == "mean"
    assert wrapped("", 2) == ""


def test_tables_with_plain_columns_and_words(tmp_path: Path) -> None:
    frame = pd.DataFrame({"verdict": ["holds", None], "dB": [1.25, 2.0]}, index=pd.Index(["a", "b"], name="claim"))
    texts = written(Table(frame, {"dB": ".1f"}), tmp_path)
    assert texts[".md"] == "| claim | verdict | dB |\n| :--- | :--- | ---: |\n| a | holds | 1.2 |\n| b | – | 2.0 |\n"
    assert r"\begin{tabular}{llr}" in texts[".tex"]
    assert r"\parbox" not in texts[".tex"]


def test_files_keep_dots_in_their_stem_and_nothing_is_left_beside(tmp_path: Path) -> None:
    names = {path.name for path in write_table(grouped_table(), tmp_path / "table_3.1")}
    assert names == {"table_3.1.csv", "table_3.1.md", "table_3.1.tex"}
    assert {path.name for path in tmp_path.iterdir()} == names


def drawn(notes: list[str]) -> Figure:
    with style.applied():
        canvas = style.new_figure(style.COLUMN_WIDTH, 2.0)
        canvas.subplots().plot([0, 1], [THIRD, 2], label="σ")
    return Figure(canvas, pd.DataFrame({"x": [0, 1], "y": [THIRD, 2]}), notes)


def test_figure_files_have_no_date_and_raw_numbers(tmp_path: Path) -> None:
    pdf, png, plotted = write_figure(drawn([]), tmp_path / "figure_1")
    assert b"CreationDate" not in pdf.read_bytes()
    assert b"Software" not in png.read_bytes()
    assert plotted.read_text() == f"x,y\n0,{THIRD!r}\n1,2.0\n"


def test_notes_make_a_figure_higher_but_not_wider(tmp_path: Path) -> None:
    made = drawn(["image_natural: diverged and left out: gaussian at sigma 64 (2 of 16 fits). " * 3])
    plain = png_size(write_figure(drawn([]), tmp_path / "plain")[1])
    noted = png_size(write_figure(made, tmp_path / "noted")[1])
    assert noted[0] == plain[0] == pytest.approx(200 * style.COLUMN_WIDTH, abs=1)
    assert noted[1] > plain[1]
    again = write_figure(made, tmp_path / "again")[1]
    assert again.read_bytes() == (tmp_path / "noted.png").read_bytes()


def png_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the PNG's header."""
    header = path.read_bytes()[16:24]
    return int.from_bytes(header[:4]), int.from_bytes(header[4:])


def test_encodings_keep_their_colour() -> None:
    four = style.encoding_colours(["gaussian", "none", "positional", "basic"])
    more = style.encoding_colours(["wavelet", "gaussian"])
    assert len(set(four.values())) == 4
    assert more["gaussian"] == four["gaussian"]
    assert more["wavelet"] not in four.values()


def test_tiles_are_square_and_aligned() -> None:
    grid = tiles.TileGrid(2, 3, style.TEXT_WIDTH, left=0.2, above=0.3, below=0.1)
    cells = [[grid.tile(row, column).get_position() for column in range(3)] for row in range(2)]
    size = grid.figure.get_size_inches()
    for row in cells:
        for box in row:
            assert box.width * size[0] == pytest.approx(box.height * size[1])
    assert cells[0][2].x1 == pytest.approx(1)
    assert [box.x0 for box in cells[0]] == [box.x0 for box in cells[1]]
    assert {round(box.y0, 9) for box in cells[0]} == {round(cells[0][0].y0, 9)}
