"""A finished smoke run, end to end: every file is there, and the pages open offline with all they show."""

import json
import re
import shutil
import subprocess
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
import yaml
from project import COMBINATIONS, PAPER, READERS, ROOT, change_config, copy_run, dry_run, snakemake

REPORTS = Path("reports/smoke")
PAGES = ("index.html", "fourier_features.html")
ARTEFACTS = yaml.safe_load((ROOT / PAPER / "paper.yaml").read_text())["artefacts"]
SUFFIXES = {"table": ("csv", "md", "tex", "json"), "figure": ("png", "pdf", "csv", "json")}
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs chromium on the PATH")
CHROMIUM_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", "--dump-dom"),
)
# Put first into a page: notes what fails in it, and leaves the notes in the document.
OBSERVER = """<script>
const failures = [];
addEventListener("error", event => {
  const place = event.message || event.target.getAttribute("src") || event.target.getAttribute("href");
  if (place) failures.push(place.slice(0, 200));
}, true);
addEventListener("unhandledrejection", event => failures.push(String(event.reason)));
for (const kind of ["error", "warn"]) console[kind] = (...words) => failures.push(words.join(" "));
addEventListener("load", () => {
  const images = [...document.images];
  const empty = images.filter(image => !(image.complete && image.naturalWidth)).map(image => image.alt);
  const notes = document.createElement("script");
  notes.type = "application/json";
  notes.id = "notes";
  notes.textContent = JSON.stringify({failures, images: images.length, empty});
  document.body.append(notes);
});
</script>"""


class Page(HTMLParser):
    """What a page refers to: every tag with its references, every id, and what stands in scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.references: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.code = ""
        self.inside = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            if name in ("src", "href", "srcset", "poster", "data", "action") and value:
                self.references.append((tag, value))
            if name == "style" and value:
                self.code += value

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style"):
            self.code += data


@pytest.fixture(scope="module")
def pages(finished: Path) -> dict[str, Page]:
    return {name: Page(finished / REPORTS / name) for name in PAGES}


def test_every_artefact_is_there_in_every_format(finished: Path) -> None:
    folder = finished / REPORTS / "fourier_features"
    expected = {
        folder / f"{artefact['kind']}s" / f"{name}.{suffix}"
        for name, artefact in ARTEFACTS.items()
        for suffix in SUFFIXES[artefact["kind"]]
    }
    expected |= {folder / "claims.json", folder / "claims.csv", folder / "manifest.json"}
    assert {path for path in folder.rglob("*") if path.is_file()} == expected
    assert [path for path in expected if not path.stat().st_size] == []


def test_smoke_judges_no_claim_and_says_why(finished: Path) -> None:
    claims = json.loads((finished / REPORTS / "fourier_features/claims.json").read_text())["claims"]
    assert [claim["number"] for claim in claims] == list(range(1, 20))
    judged = [*claims, *(found for claim in claims for found in claim["comparisons"])]
    assert {found["verdict"] for found in judged} == {"not judged"}
    assert all("smoke" in found["reason"] for found in judged)


def test_records_hold_every_fit_with_its_settings(finished: Path) -> None:
    records = pd.read_parquet(finished / "results/smoke/fourier_features.parquet")
    assert set(records["experiment"]) == set(READERS)
    assert records.groupby("experiment")["combination"].nunique().sum() == sum(COMBINATIONS["smoke"].values())
    assert set(records["status"]) == {"ok"}
    assert not records[["signal", "source", "encoding", "network", "metric", "value", "device"]].isna().any().any()
    # Each sweep has one chosen sigma; tuning signals are fitted only where there is one to choose (views tune always).
    sweeps = records[(records["experiment"] == "image_natural") & (records["encoding"] == "gaussian")]
    assert sweeps.groupby("chosen")["sigma"].nunique().to_dict() == {False: 1, True: 1}
    fitted = records[~records["experiment"].str.startswith("radiance")]
    assert set(fitted.loc[fitted["set"] == "tuning", "encoding"]) == {"gaussian"}


def test_the_paper_page_shows_every_artefact_and_claim(finished: Path, pages: dict[str, Page]) -> None:
    assert set(ARTEFACTS) <= pages["fourier_features.html"].ids
    text = (finished / REPORTS / "fourier_features.html").read_text()
    assert text.count("<img") == sum(artefact["kind"] == "figure" for artefact in ARTEFACTS.values())
    assert all(f"Claim {number}:" in text for number in range(1, 20))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_from_the_web(name: str, pages: dict[str, Page]) -> None:
    loaded = [(tag, place) for tag, place in pages[name].references if tag != "a"]
    assert [found for found in loaded if re.match(r"(\w+:)?//", found[1])] == []
    asked = r"""@import|url\(\s*["']?(?:https?:)?//|import\(\s*["'](?:https?:)?//|fetch\(|XMLHttpRequest"""
    assert re.findall(asked, re.sub(r"/\*.*?\*/", "", pages[name].code, flags=re.DOTALL)) == []


@pytest.mark.parametrize("name", PAGES)
def test_pictures_and_links_lead_somewhere(name: str, pages: dict[str, Page], finished: Path) -> None:
    folder = finished / REPORTS
    lost = []
    for _, place in pages[name].references:
        if re.match(r"[\w+.-]+:", place):  # another scheme: data, or a link for people to follow
            continue
        path, _, fragment = unquote(place).partition("#")
        target = folder / (path or name)
        if not target.is_file() or (fragment and fragment not in Page(target).ids):
            lost.append(place)
    assert lost == []


def opened(page: Path, profile: Path) -> dict[str, Any]:
    """What the observer and the browser's log say of a page: its failures, images, and images that stay empty."""
    text = page.read_text()
    assert text.count("<head>") == 1
    page.write_text(text.replace("<head>", "<head>" + OBSERVER))
    shown = subprocess.run(
        [str(CHROMIUM), *CHROMIUM_OPTIONS, f"--user-data-dir={profile}", page.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    notes = json.loads(re.findall(r'id="notes">(.*?)</script>', shown.stdout)[-1])
    notes["failures"] += [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    return notes


@needs_chromium
@pytest.mark.parametrize("name", PAGES)
def test_a_browser_shows_a_page_without_complaint(name: str, finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished / REPORTS, tmp_path / "reports"))
    images = (folder / name).read_text().count("<img")
    assert opened(folder / name, tmp_path / "profile") == {"failures": [], "empty": [], "images": images}


@needs_chromium
def test_the_observer_sees_what_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<html><head></head><body><img src="lost.png" alt="lost"><script>console.error("said"); undefined();</script>'
        '<script type="module">await import("https://web.invalid/x.mjs")</script></body></html>'
    )
    notes = opened(page, tmp_path / "profile")
    assert (notes["images"], notes["empty"]) == (1, ["lost"])
    for part in ("lost.png", "said", "undefined is not a function", "web.invalid"):
        assert any(part in failure for failure in notes["failures"]), notes


def test_snakemakes_own_report_holds_every_artefact(finished: Path, tmp_path: Path) -> None:
    folder = copy_run(finished, tmp_path / "posenc")
    run = snakemake(folder, "--report", "report.zip")
    assert run.returncode == 0, run.stderr
    with zipfile.ZipFile(folder / "report.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
        index = next(name for name in archive.namelist() if name.endswith("report.html"))
        text = archive.read(index).decode()
    shown = {f"{name}.{SUFFIXES[artefact['kind']][0]}" for name, artefact in ARTEFACTS.items()}
    assert shown | {"claims.csv", *PAGES} <= names
    assert all(artefact["title"] in text for artefact in ARTEFACTS.values())
    assert "Preset smoke. " in text  # the captions' templates were filled


def test_a_diverging_fit_is_a_record_and_the_run_goes_on(finished: Path, tmp_path: Path) -> None:
    folder = copy_run(finished, tmp_path / "posenc")
    training = {"learning_rate": 1e30}
    change_config(folder, {"experiments": {"image_text": {"encodings": {"basic": {"training": training}}}}})
    run = snakemake(folder)
    assert run.returncode == 0, run.stderr
    records = pd.read_parquet(folder / "results/smoke/records/image_text.parquet")
    last = records[records["final"] & (records["set"] == "report")]
    assert set(last.loc[last["encoding"] == "basic", "status"]) == {"diverged"}
    assert set(last.loc[last["encoding"] != "basic", "status"]) == {"ok"}
    before, after = (place / REPORTS / "fourier_features.html" for place in (finished, folder))
    assert after.read_text() != before.read_text()
    manifest = json.loads((folder / REPORTS / "fourier_features/manifest.json").read_text())
    diverged = {name: found["diverged"] for name, found in manifest["experiments"].items()}
    assert diverged == {name: 2 if name == "image_text" else 0 for name in READERS}
    assert dry_run(folder) == {}
