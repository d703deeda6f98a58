"""Web pages from notebooks: run by papermill with a manifest, turned into one file that opens offline."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbconvert import HTMLExporter
from traitlets.config import Config

from posenc.files import write_bytes, write_json


def render_paper(paper: Mapping[str, Any], inputs: Mapping[str, Any], manifest_path: str, page: str) -> None:
    """Write a paper's manifest, all that its notebook may show, and the notebook as a page.

    inputs: `notebook`, `cards` of artefacts, `claims` and `summaries` of experiments.
    """
    experiments = {name: dict(facts) for name, facts in paper["experiments"].items()}
    for path in inputs["summaries"]:
        summary = json.loads(Path(path).read_text())
        experiments[summary["experiment"]] |= summary
    manifest = {
        **paper,
        "experiments": experiments,
        "artefacts": [json.loads(Path(path).read_text()) for path in inputs["cards"]],
        "claims": json.loads(Path(inputs["claims"]).read_text())["claims"],
    }
    write_json(manifest_path, manifest)
    folder = Path(page).parent
    render_notebook(inputs["notebook"], {"manifest": os.path.relpath(manifest_path, folder)}, Path(page))


def render_overview(facts: Mapping[str, Any], inputs: Mapping[str, Any], page: str) -> None:
    """Write the overview of a preset: every paper's manifest at a glance."""
    folder = Path(page).parent
    manifests = [os.path.relpath(path, folder) for path in inputs["manifests"]]
    render_notebook(inputs["notebook"], {"preset": facts["preset"], "manifests": manifests}, Path(page))


def render_notebook(notebook: str, parameters: Mapping[str, Any], page: Path) -> None:
    """Run a notebook in the page's folder, with this Python as its kernel, and write the page."""
    # The kernel named python3 is this environment's; one of the same name elsewhere must not win.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    with tempfile.TemporaryDirectory() as temporary:
        # Kernels leave their connection files here instead of in the user's home.
        os.environ["JUPYTER_RUNTIME_DIR"] = temporary
        os.environ["IPYTHONDIR"] = temporary
        run = Path(temporary) / "run.ipynb"
        papermill.execute_notebook(
            notebook,
            run,
            dict(parameters),
            kernel_name="python3",
            # Reached through files of this user instead of network ports.
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{temporary}/kernel"}}),
            # What goes wrong in a cell is raised here; of the kernel's own chatter nothing concerns a reader.
            extra_arguments=["--log-level=CRITICAL"],
            cwd=page.parent,
            progress_bar=False,
        )
        content = nbformat.read(run, as_version=4)
    write_bytes(page, page_of(content).encode())


def page_of(notebook: nbformat.NotebookNode) -> str:
    """A run notebook as one HTML file: outputs without the code, pictures inside, nothing loaded from the web."""
    settings = Config()
    settings.HTMLExporter.exclude_input = True
    settings.HTMLExporter.exclude_output_prompt = True
    settings.HTMLExporter.embed_images = True
    exporter = HTMLExporter(config=settings, template_name="lab")
    # Set on the exporter itself: some of these are not taken from its configuration.
    for script in ("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url", "mermaid_layout_elk_js_url"):
        setattr(exporter, script, "")
    html, _ = exporter.from_notebook_node(notebook)
    return str(html)
