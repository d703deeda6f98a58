"""What notebooks show: pieces of a manifest as HTML. Nothing here computes a result."""

import base64
import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from IPython.display import HTML, Markdown

VERDICT_MARKS = {"holds": "✔", "fails": "✘", "inconclusive": "?", "not judged": "–"}
STYLE = """<style>
.jp-Notebook, body { max-width: 62rem; margin: auto; padding: 0 1rem; }
table.posenc { border-collapse: collapse; font-size: 90%; } table.posenc td, table.posenc th { padding: .25em .7em;
text-align: left; border-bottom: 1px solid #ddd; vertical-align: top; } figure.posenc { margin: 1em 0; }
figure.posenc img { max-width: 100%; } .posenc-caption { color: #444; font-size: 90%; }
.holds { color: #00694d; font-weight: 600; } .fails { color: #b02a00; font-weight: 600; }
.inconclusive, .not-judged { color: #555; font-weight: 600; } @media print { .posenc { break-inside: avoid; } }
</style>"""


class Paper:
    """A paper's manifest and the folder of its files, seen from the page."""

    def __init__(self, manifest: str) -> None:
        self.folder = Path(manifest).parent
        self.manifest = json.loads(Path(manifest).read_text())

    def heading(self) -> HTML:
        facts = self.manifest["facts"]
        return HTML(
            f"{STYLE}<h1>{escaped(self.manifest['title'])}</h1><p>{escaped(self.manifest['citation'])}</p>"
            f"<p>Preset <b>{escaped(facts['preset'])}</b>: {escaped(facts['scale'])}.</p>"
        )

    def artefact(self, name: str) -> HTML | Markdown:
        """A table or figure with its caption and links to its files."""
        card = next(card for card in self.manifest["artefacts"] if card["name"] == name)
        caption = f'<p class="posenc-caption">{escaped(card["caption"])} {escaped(made_on(card))} {self.links(card)}</p>'
        title = f"<h3 id='{card['name']}'>{escaped(label(card))}</h3>"
        if card["kind"] == "table":
            table = (self.folder / "tables" / card["files"]["md"]).read_text()
            return Markdown(f"{title}\n\n{table}\n\n{caption}")
        picture = (self.folder / "figures" / card["files"]["png"]).read_bytes()
        source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        return HTML(
            f'{title}<figure class="posenc"><img src="{source}" alt="{escaped(card["title"])}"></figure>{caption}'
        )

    def links(self, card: Mapping[str, Any]) -> str:
        """Links to an artefact's files, relative to the page."""
        files = ((suffix, name) for suffix, name in card["files"].items() if suffix != "json")
        return " ".join(
            f'<a href="{self.folder.name}/{card["kind"]}s/{name}">{suffix.upper()}</a>'
            for suffix, name in files
        )

    def claims(self) -> HTML:
        """Every claim with its comparisons and verdicts."""
        parts = []
        for claim in self.manifest["claims"]:
            parts.append(
                f"<h3>Claim {claim['number']}: {escaped(claim['title'])} — {verdict(claim['verdict'])}</h3>"
                f"<p>{escaped(claim['statement'])}</p><p class='posenc-caption'>{escaped(claim['reason'] or '')}</p>"
            )
            parts.append(
                html_table(COMPARISON_HEADINGS, (comparison_row(found) for found in claim["comparisons"]))
            )
        return HTML("".join(parts))

    def experiments(self) -> HTML:
        """What was run: how many fits, on what, how long."""
        headings = (
            "experiment",
            "combinations",
            "fits",
            "diverged",
            "device",
            "precision",
            "fitting time",
            "peak memory",
        )
        rows = (
            (
                escaped(found["title"]),
                found["combinations"],
                found["fits"],
                found["diverged"],
                escaped(", ".join(found["devices"])),
                escaped(", ".join(found["precisions"])),
                duration(found["seconds"]),
                f"{found['peak_memory'] / 2**20:.0f} MiB",
            )
            for found in self.manifest["experiments"].values()
        )
        return HTML(html_table(headings, rows))


COMPARISON_HEADINGS = (
    "comparison", "verdict", "measured", "interval", "threshold", "published", "pictures", "fits", "p (Holm)", "remark",
)  # fmt: skip


def comparison_row(found: Mapping[str, Any]) -> Sequence[Any]:
    low, high = found["interval"]
    interval = "–" if low is None else f"{low:.2f} … {high:.2f} ({100 * found['confidence']:.4g} %)"
    published = found["published"]
    return (
        escaped(found["name"]),
        verdict(found["verdict"]),
        quantity(found["estimate"], found["unit"]),
        interval,
        f"{found['direction']} {found['threshold']:g}",
        "–" if published is None else quantity(published["value"], found["unit"]),
        found["sources"],
        found["pairs"],
        "–" if found["p_holm"] is None else f"{found['p_holm']:.2g}",
        escaped(found["reason"] or ""),
    )


def overview(papers: Iterable[Paper]) -> HTML:
    """Claims by verdict, then every artefact with its links, paper by paper."""
    parts = []
    for paper in papers:
        manifest, page = paper.manifest, f"{paper.folder.name}.html"
        counts = Counter(claim["verdict"] for claim in manifest["claims"])
        told = ", ".join(f"{number} {verdict(name)}" for name, number in counts.items())
        parts.append(
            f'<h2><a href="{page}">{escaped(manifest["title"])}</a></h2><p>{escaped(manifest["citation"])}</p>'
            f"<p>Claims: {told or 'none judged'}.</p>"
        )
        claims = (
            (c["number"], escaped(c["title"]), verdict(c["verdict"]), worst(c)) for c in manifest["claims"]
        )
        parts.append(html_table(("claim", "statement", "verdict", "comparisons"), claims))
        rows = (
            (
                f'<a href="{page}#{card["name"]}">{escaped(label(card))}</a>',
                escaped(", ".join(card["devices"])),
                paper.links(card),
            )
            for card in manifest["artefacts"]
        )
        parts.append(
            "<h3>What was regenerated</h3>" + html_table(("table or figure", "device", "files"), rows)
        )
        parts.append("<h3>What was run</h3>" + str(paper.experiments().data))
    return HTML(STYLE + "".join(parts))


def worst(claim: Mapping[str, Any]) -> str:
    counts = Counter(found["verdict"] for found in claim["comparisons"])
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def label(card: Mapping[str, Any]) -> str:
    """`Table 3: …`; artefacts of our own have no number."""
    kind, _, number = card["name"].partition("_")
    return f"{kind.capitalize()} {number}: {card['title']}" if number.isdigit() else card["title"]


def made_on(card: Mapping[str, Any]) -> str:
    return f"Fitted on {', '.join(card['devices'])} in {', '.join(card['precisions'])}."


def verdict(name: str) -> str:
    return f'<span class="{name.replace(" ", "-")}">{VERDICT_MARKS[name]} {name}</span>'


def quantity(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.2f} {escaped(unit)}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def html_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table whose cells are HTML already."""
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="posenc"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def escaped(text: str) -> str:
    return html.escape(text)
