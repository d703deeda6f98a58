"""Table and figure writers: the numbers agree in every format, special characters survive, bytes are stable."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posenc.files import write_arrays, write_json
from posenc.papers.material import Figure, Material, Table
from posenc.reporting import style, tiles
from posenc.reporting.artefacts import draw_artefact, material
from posenc.reporting.figures import write_figure
from posenc.reporting.tables import escape_latex, escape_markdown, wrapped, write_table
from posenc.signals.stored import write_signals

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


# What an artefact's job reads


@pytest.fixture
def planned_artefact(tmp_path: Path) -> tuple[dict[str, Any], SimpleNamespace]:
    """An artefact's spec and inputs: records of an experiment and a study, arrays of both and of a measure."""
    experiment = pd.DataFrame({"experiment": "waves", "combination": ["a", "b", "b"], "member": [0, 0, 1]})
    study = pd.DataFrame({"experiment": "spectra", "value": [1.5]})
    for name, frame in (("waves", experiment), ("spectra", study)):
        frame.to_parquet(tmp_path / f"{name}.parquet")
    write_json(tmp_path / "waves.json", {"devices": ["a processor"], "precisions": ["float32"]})
    write_json(tmp_path / "spectra.json", {"seconds": 1.0})
    rows = [{"name": "one", "condition": "45"}, {"name": "two", "condition": "90"}]
    signals = {"values": np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1), "far": np.array([1.0, 2.0])}
    write_signals(signals, rows, tmp_path / "signals.npz", tmp_path / "signals.json")
    write_arrays(tmp_path / "a.npz", {"one": np.zeros((2, 2, 1), np.float16), "one/depth": np.ones(3)})
    write_arrays(tmp_path / "b.npz", {f"{i}/one": np.full((2, 2, 1), i, np.float16) for i in (0, 1)})
    write_arrays(tmp_path / "theory.npz", {"eigenvalues": np.arange(3.0)})
    write_arrays(tmp_path / "measure.npz", {"finer": np.arange(2.0)})
    spec: dict[str, Any] = {
        "name": "table_9", "title": "T", "section": "S", "kind": "table", "function": "test_reporting:made_from",
        "published": {"table_9": {"x": 1.0}},
        "facts": {"preset": "smoke", "scale": "smoke scale, stand-in signals", "paper_protocol": False},
        "pictures": {
            "waves": {
                "labels": ["a", "b"], "arrays": [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")],
                "values": str(tmp_path / "signals.npz"), "rows": str(tmp_path / "signals.json"),
            }
        },
        "theory": {"spectra": str(tmp_path / "theory.npz")},
        "measures": {"finer_waves": str(tmp_path / "measure.npz")},
        "shows": "Preset smoke.",
    }  # fmt: skip
    members = {"a": [{"encoding": "sine", "stable_rank": 2.0}], "b": [{"encoding": "sine"}, {"encoding": "none"}]}
    metrics = str(tmp_path / "metrics.json")
    write_json(metrics, members)
    files = {end: [str(tmp_path / f"{name}.{end}") for name in ("waves", "spectra")] for end in ("parquet", "json")}
    return spec, SimpleNamespace(records=files["parquet"], summaries=files["json"], reference=[], metrics=[metrics])


def made_from(found: Material) -> Table:
    frame = pd.DataFrame({"value": found.records("spectra")["value"]})
    return Table(frame, {"value": ".2f"}, [str(float(found.theory("spectra")["eigenvalues"].sum()))])


def test_a_material_has_what_the_plan_names(planned_artefact: tuple[dict[str, Any], SimpleNamespace]) -> None:
    found = material(*planned_artefact)
    assert set(found.arrays("waves", "a")) == {"one", "one/depth"}
    assert set(found.arrays("waves", "b")) == {"0/one", "1/one"}
    assert [float(found.predictions("waves", "b", member)["one"].max()) for member in (0, 1)] == [0, 1]
    signals = found.signals("waves")
    assert list(signals) == ["one", "two"]
    assert signals["two"]["values"].tolist() == [[[4], [5]], [[6], [7]]]
    assert float(signals["two"]["far"]) == 2
    np.testing.assert_array_equal(found.truths("waves")["two"], signals["two"]["values"].astype(np.float32) / 255)
    assert found.theory("spectra")["eigenvalues"].tolist() == [0, 1, 2]
    assert found.measures("finer_waves")["finer"].tolist() == [0, 1]
    assert found.metrics[0]["encoding"].tolist() == ["sine", "sine", "none"]
    assert found.records("spectra")["value"].tolist() == [1.5]
    assert found.published == {"table_9": {"x": 1.0}}
    assert found.run_title == "this run (smoke scale, stand-in signals)"
    with pytest.raises(KeyError, match="no records of experiment 'other'"):
        found.records("other")


def test_a_card_names_the_devices_of_fits_where_a_study_has_none(
    planned_artefact: tuple[dict[str, Any], SimpleNamespace], tmp_path: Path
) -> None:
    outputs = [str(tmp_path / f"table_9.{end}") for end in ("csv", "md", "tex", "json")]
    draw_artefact(planned_artefact[0], "{{ snakemake.params.artefact.shows }}", planned_artefact[1], outputs)
    card = json.loads(Path(outputs[-1]).read_text())
    assert (card["devices"], card["precisions"]) == (["a processor"], ["float32"])
    assert card["caption"] == "Preset smoke."
    assert "1.50" in card["table"] and "3.0" in Path(outputs[1]).read_text()
    assert card["files"] == {end: f"table_9.{end}" for end in ("csv", "md", "tex", "json")}
