"""What notebooks show: pieces of a manifest as HTML. Nothing here computes a result."""

import base64
import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from IPython.display import HTML

VERDICT_MARKS = {"holds": "✔", "fails": "✘", "inconclusive": "?", "not judged": "–"}
STYLE = """<style>
body, .jp-Notebook { max-width: 64rem; margin: auto; padding: 0 1rem; }
.jp-InputPrompt, .jp-OutputPrompt, .jp-Collapser { display: none !important; }
.jp-RenderedHTMLCommon .posenc table { margin: .5em 0; border-collapse: collapse; }
.jp-RenderedHTMLCommon .posenc :is(td, th) { text-align: left; vertical-align: top; white-space: normal; }
.jp-RenderedHTMLCommon .posenc thead { vertical-align: bottom; }
.jp-RenderedHTMLCommon .posenc th[colspan]:not([colspan="1"]) { border-bottom: 1px solid #bbb; }
.posenc { overflow-x: auto; break-inside: avoid; } .posenc img { max-width: 100%; }
.gallery { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1rem; align-items: center; }
.posenc p { color: #444; font-size: 85%; margin: .2em 0; }
.holds { color: #00694d; } .fails { color: #b02a00; } .inconclusive, .not-judged { color: #555; }
.holds, .fails, .inconclusive, .not-judged { font-weight: 600; white-space: nowrap; }
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

    def artefact(self, name: str) -> HTML:
        """A table or figure with its caption and links to its files."""
        card = next(card for card in self.manifest["artefacts"] if card["name"] == name)
        shown = card["table"] if card["kind"] == "table" else self.picture(card)
        caption = f"<p>{escaped(card['caption'])} {escaped(made_on(card))} {self.links(card)}</p>"
        return HTML(f'<h3 id="{name}">{escaped(label(card))}</h3><div class="posenc">{shown}{caption}</div>')

    def picture(self, card: Mapping[str, Any]) -> str:
        """A figure as an image inside the page."""
        content = base64.b64encode((self.folder / "figures" / card["files"]["png"]).read_bytes()).decode()
        return f'<img src="data:image/png;base64,{content}" alt="{escaped(card["title"])}">'

    def gallery(self) -> str:
        """All figures, small, each leading to its place on the paper's page."""
        figures = (card for card in self.manifest["artefacts"] if card["kind"] == "figure")
        links = (
            f'<a href="{self.folder.name}.html#{card["name"]}" title="{escaped(label(card))}">{self.picture(card)}</a>'
            for card in figures
        )
        return f'<div class="posenc gallery">{"".join(links)}</div>'

    def links(self, card: Mapping[str, Any]) -> str:
        """Links to an artefact's files, relative to the page."""
        files = ((suffix, name) for suffix, name in card["files"].items() if suffix != "json")
        return " ".join(
            f'<a href="{self.folder.name}/{card["kind"]}s/{name}">{suffix.upper()}</a>' for suffix, name in files
        )

    def claims(self) -> HTML:
        """Every claim with its comparisons and verdicts."""
        parts = []
        for claim in self.manifest["claims"]:
            parts.append(
                f"<h3>Claim {claim['number']}: {escaped(claim['title'])} — {verdict(claim['verdict'])}</h3>"
                f"<p>{escaped(claim['statement'])}</p>"
            )
            parts.append(html_table(COMPARISON_HEADINGS, (comparison_row(found) for found in claim["comparisons"])))
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
    "comparison", "verdict", "measured", "interval", "threshold", "published", "sources", "fits", "p (Holm)", "remark",
)  # fmt: skip


def comparison_row(found: Mapping[str, Any]) -> Sequence[Any]:
    low, high = found["interval"]
    # Without: not judged, or exact.
    interval = "–" if low is None else f"{number(low)} … {number(high)} ({100 * found['confidence']:.4g} %)"
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
            (c["number"], escaped(c["title"]), verdict(c["verdict"]), comparison_counts(c)) for c in manifest["claims"]
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
            "<h3>What was regenerated</h3>" + paper.gallery() + html_table(("table or figure", "device", "files"), rows)
        )
        parts.append("<h3>What was run</h3>" + str(paper.experiments().data))
    return HTML(STYLE + "".join(parts))


def comparison_counts(claim: Mapping[str, Any]) -> str:
    counts = Counter(found["verdict"] for found in claim["comparisons"])
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def label(card: Mapping[str, Any]) -> str:
    """`Table 3: …`; artefacts of our own have no number."""
    kind, _, number = card["name"].partition("_")
    return f"{kind.capitalize()} {number}: {card['title']}" if number.isdigit() else card["title"]


def made_on(card: Mapping[str, Any]) -> str:
    """Nothing for what needs no fits."""
    return f"Fitted on {', '.join(card['devices'])} in {', '.join(card['precisions'])}." if card["devices"] else ""


def verdict(name: str) -> str:
    return f'<span class="{name.replace(" ", "-")}">{VERDICT_MARKS[name]} {name}</span>'


def quantity(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{number(value)} {escaped(unit)}"


def number(value: float) -> str:
    """Two digits behind the point, or two that say something."""
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def html_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table whose cells are HTML already."""
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="posenc"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def escaped(text: str) -> str:
    return html.escape(text)
