"""Bad input ends before any job, in one message: file, key, value, what is allowed, the nearest match."""

import subprocess
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from project import COMBINATIONS, SIGNAL_SETS, copy_project, noise, pictures, planned, snakemake, with_driver


class Case(NamedTuple):
    """What stands in which place, and what the message must say."""

    place: str
    content: str
    said: tuple[str, ...]


def encoding(name: str, entry: str) -> str:
    return f"experiments: {{image_natural: {{encodings: {{{name}: {entry}}}}}}}\n"


GAUSSIAN = "experiments.image_natural.encodings.gaussian"
CASES = {
    # Places: config.yaml, a file named by --configfile, and --config.
    "unknown key in config.yaml": Case(
        "config.yaml", "presett: smoke\n", ("config.yaml: presett: unknown key", "preset, papers", "mean 'preset'?")
    ),
    "unknown key in a file": Case(
        "--configfile", "data: {foldr: x}\n", ("mine.yaml: data.foldr: unknown key", "source, folder", "'folder'?")
    ),
    "unknown key in --config": Case(
        "--config", "devise=cpu", ("--config: devise: unknown key", "allowed here: preset", "mean 'device'?")
    ),
    "unknown preset": Case(
        "--config", "preset=smok", ("--config: preset = 'smok'", "smoke, laptop, paper", "mean 'smoke'?")
    ),
    "unknown paper": Case(
        "config.yaml",
        "papers: [furier_features]\n",
        ("config.yaml: papers[0] = 'furier_features'", "must be one of fourier_features", "mean 'fourier_features'?"),
    ),
    "unknown encoding": Case(
        "config.yaml",
        encoding("gausian", "{sigma: 1}"),
        ("encodings.gausian: unknown key", "basic, gaussian, linear_frequency, none, ", "mean 'gaussian'?"),
    ),
    "unknown variant": Case(
        "config.yaml",
        encoding("positional", "{variant: table2}"),
        ("encodings.positional.variant = 'table2'", "code, table_2, section_6", "mean 'table_2'?"),
    ),
    "a product of codes that fills the memory": Case(
        "config.yaml",
        "experiments: {image_natural: {networks: {mlp: null, kronecker: {depth: 1}}, encodings: {gaussian: {features:"
        " 100000}}}}\n",
        ("experiments.image_natural: ", "3.0e+10 weights, or 720 GB", "are free; lower features"),
    ),
    "sigma zero": Case(
        "config.yaml", encoding("gaussian", "{sigma: [1, 0]}"), (f"{GAUSSIAN}.sigma[1] = 0: must be greater than 0",)
    ),
    "sigma negative, in --config": Case(
        "--config",
        "experiments={image_natural: {encodings: {gaussian: {sigma: -1}}}}",
        (f"--config: {GAUSSIAN}.sigma = '-1': must be greater than 0",),
    ),
    "sigma as text": Case(
        "--configfile", encoding("gaussian", "{sigma: wide}"), (f"{GAUSSIAN}.sigma = 'wide': must be a number",)
    ),
    "features odd": Case(
        "config.yaml", encoding("gaussian", "{features: 33}"), (f"{GAUSSIAN}.features = 33: must be a multiple of 2",)
    ),
    "features too few for the axes": Case(
        "config.yaml",
        encoding("positional", "{features: 2}"),
        ("encodings.positional.features = 2: must be at least 4 for 2 axes",),
    ),
    "features too few": Case(
        "config.yaml", encoding("gaussian", "{features: 0}"), (f"{GAUSSIAN}.features = 0: must be at least 2",)
    ),
    "depth zero": Case(
        "config.yaml",
        "experiments: {image_text: {networks: {mlp: {depth: 0}}}}\n",
        ("config.yaml: experiments.image_text.networks.mlp.depth = 0: must be at least 1",),
    ),
    "unknown problem": Case(
        "config.yaml",
        "experiments: {image_text: {problem: images}}\n",
        ("config.yaml: experiments.image_text.problem = 'images': must be one of ", "mean 'image'?"),
    ),
    "unknown parameter of a problem": Case(
        "config.yaml",
        "experiments: {image_text: {problem: {image: {output: tanh}}}}\n",
        ("experiments.image_text.problem.image.output: unknown key", "mean 'output_activation'?"),
    ),
    "unknown axis to stack, in --config": Case(
        "--config",
        "experiments={image_text: {stacked: [sigmas]}}",
        ("--config: experiments.image_text.stacked[0] = 'sigmas': must be one of ", "mean 'sigma'?"),
    ),
    "waves without radii": Case(
        "config.yaml",
        "experiments: {image_scales: {signals: {kind: sinusoids, angles: 3}}}\n",
        ("experiments.image_scales.signals: sinusoids need radii", "give signals.radii"),
    ),
    "empty list": Case("config.yaml", encoding("gaussian", "{sigma: []}"), (f"{GAUSSIAN}.sigma: is an empty list",)),
    "empty grid": Case(
        "config.yaml",
        "experiments: {image_features: {encodings: {gaussian: null}}}\n",
        ("config.yaml: experiments.image_features", "encodings: empty grid; name at least one"),
    ),
    "two mistakes": Case(
        "config.yaml", "device: gpu\nprecision: half\n", ("2 mistakes", "auto, cpu, cuda", "float32, tf32, bf16")
    ),
    "syntax of config.yaml": Case("config.yaml", "preset: [smoke\n", ("config.yaml: is not valid YAML", "line 2")),
    "no mapping": Case("config.yaml", "- smoke\n", ("config.yaml: must hold `key: value` lines",)),
    "a key that is no text": Case("config.yaml", "1: smoke\n", ("config.yaml: [1]: unknown key",)),
    "published pictures": Case(
        "config.yaml",
        "data: {source: published}\n",
        ("config.yaml: data.source = 'published'", "cannot be downloaded by this version yet", "bundled or local"),
    ),
    "no folder named": Case(
        "config.yaml", "data: {source: local}\n", ("data.source = 'local': no folder is named", "POSENC_DATA")
    ),
    "more pixels than any picture has": Case(
        "config.yaml",
        "experiments: {image_natural: {signals: {size: 4000}}}\n",
        ("experiments.image_natural.signals", "0 bundled pictures", "lower size or shrink"),
    ),
    # What this machine lacks.
    "no GPU": Case("--config", "device=cuda", ("device = 'cuda': this machine shows no GPU", "use auto")),
    "a precision without its GPU": Case("--config", "precision=tf32", ("precision = 'tf32': only GPUs have it",)),
    "a GPU masked that is not there": Case(
        "CUDA_VISIBLE_DEVICES", "0,5", ("CUDA_VISIBLE_DEVICES=0,5: '5' names no GPU", "there are 0 (GPU-fake-0)")
    ),
    # Folders of pictures: what `content` names is put beside three good pictures.
    "folder missing": Case("folder", "missing", ("config.yaml: data.folder = '", "no such folder")),
    "folder in the environment missing": Case("POSENC_DATA", "missing", ("POSENC_DATA = '", "no such folder")),
    "folder without pictures": Case("folder", "empty", ("data.folder = '", "no image files in this folder", ".png")),
    "truncated picture": Case("folder", "truncated.png", ("truncated.png: damaged or cut off", "1 of 4 pictures")),
    "text in a picture's name": Case("folder", "words.png", ("words.png: not an image that can be read",)),
    "braces in a picture's name": Case("folder", "{braces}.png", ("{braces}.png: Snakemake takes", "rename it")),
    "picture of one pixel": Case("folder", "pixel.png", ("pixel.png: a picture of 1 pixel",)),
    "picture smaller than the crop": Case(
        "folder", "small.png", ("small.png: 100 x 100 px", "smaller than the crop of 128 x 128 px", "lower size to 24")
    ),
}


def folder_with(kind: str, place: Path) -> Path:
    """The folder of pictures that a case names."""
    if kind == "missing":
        return place / "missing"
    if kind == "empty":
        (place / "empty").mkdir()
        (place / "empty" / "notes.txt").write_text("no picture")
        return place / "empty"
    folder = pictures(place / "pictures", "a.png", "b.png", "c.png")
    if kind == "truncated.png":
        whole = (folder / "a.png").read_bytes()
        (folder / kind).write_bytes(whole[: len(whole) // 2])
    elif kind == "{braces}.png":
        noise(130, 140).save(folder / kind)
    elif kind == "words.png":
        (folder / kind).write_text("no picture")
    else:
        side = {"pixel.png": 1, "small.png": 100}[kind]
        noise(side, side).save(folder / kind)
    return folder


def refused(case: Case, folder: Path) -> subprocess.CompletedProcess[str]:
    """A real run, with nothing but the case against it."""
    smoke = "" if "preset" in case.content else "preset: smoke\n"
    match case.place:
        case "config.yaml":
            (folder / "config.yaml").write_text(smoke * (case.content[0] != "-") + case.content)
            return snakemake(folder)
        case "--configfile":
            (folder / "mine.yaml").write_text(smoke + case.content)
            return snakemake(folder, "--configfile", "mine.yaml")
        case "--config":
            return snakemake(folder, "--config", *(["preset=smoke"] if smoke else []), case.content)
        case "CUDA_VISIBLE_DEVICES":
            (folder / "config.yaml").write_text(smoke)
            return snakemake(folder, PATH=with_driver(folder / "bin", 1), CUDA_VISIBLE_DEVICES=case.content)
        case "POSENC_DATA":
            (folder / "config.yaml").write_text(smoke)
            return snakemake(folder, POSENC_DATA=str(folder_with(case.content, folder)))
    (folder / "config.yaml").write_text(f"{smoke}data: {{folder: {folder_with(case.content, folder)}}}\n")
    return snakemake(folder)


@pytest.fixture(scope="module")
def runs(
    side_by_side: Callable[..., dict[str, Future[Any]]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Future[tuple[subprocess.CompletedProcess[str], Path]]]:
    def run(case: str) -> tuple[subprocess.CompletedProcess[str], Path]:
        folder = copy_project(tmp_path_factory.mktemp("bad") / "posenc")
        return refused(CASES[case], folder), folder

    return side_by_side(run)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_one_message(
    case: str, runs: dict[str, Future[tuple[subprocess.CompletedProcess[str], Path]]]
) -> None:
    run, folder = runs[case].result()
    assert run.returncode != 0
    assert run.stdout == ""
    # Snakemake's one line on the profile, then ours alone.
    profile, *message = run.stderr.splitlines()
    assert profile.startswith("Using workflow specific profile")
    assert message[0].startswith("posenc: nothing was started, because of")
    assert all(line.startswith("  ") for line in message[1:])
    for part in CASES[case].said:
        assert part in run.stderr
    assert not (folder / "results").exists()


def test_yaml_that_cannot_be_read_is_refused_by_snakemake_itself(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "posenc")
    (folder / "mine.yaml").write_text("preset: [smoke\n")
    run = snakemake(folder, "--configfile", "mine.yaml")
    assert run.returncode != 0
    assert "not valid JSON or YAML" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (folder / "results").exists()


def test_grey_and_transparent_pictures_are_converted_and_that_is_said(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "posenc")
    named = pictures(tmp_path / "pictures", "a.png", "b.png")
    noise(130, 140).convert("L").save(named / "grey.png")
    noise(130, 140, 4).save(named / "rgba.png")
    run = snakemake(folder, "-n", "--config", "preset=smoke", f"data={{folder: {named}}}")
    assert planned(run)["prepare_signals"] == SIGNAL_SETS
    assert "data of " + str(named) in run.stderr
    assert "grey.png: converted from grey" in run.stderr
    assert "rgba.png: converted from RGBA, put on white" in run.stderr
    assert "/a.png" not in run.stderr


def test_pictures_may_be_called_anything(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "posenc")
    named = pictures(tmp_path / "two words", "0801.png", "one, it's.png", "NA.png")
    run = snakemake(folder, "signals", "--config", "preset=smoke", f"data={{folder: {named}}}")
    assert run.returncode == 0, run.stderr
    assert len(list(folder.glob("results/signals/natural-local*/signals.npz"))) == 2


def test_a_folder_with_other_data_alone_leaves_pictures_bundled_and_that_is_no_mistake(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "posenc")
    for kind in ("volumes", "meshes", "nerf"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    run = snakemake(folder, "signals", "-n", "--config", "preset=smoke", f"data={{folder: {tmp_path / 'data'}}}")
    assert planned(run)["prepare_signals"] == SIGNAL_SETS
    assert "natural-bundled" in run.stdout
    assert "natural-local" not in run.stdout


def test_null_and_lists_in_config_on_the_command_line_mean_what_they_do_in_a_file(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "posenc")
    text = "experiments={image_natural: {encodings: {gaussian: {sigma: [1, 2, 1e1]}, basic: null}}}"
    found = planned(snakemake(folder, "-n", "fits", "--config", "preset=smoke", text))
    assert found["fit"] == sum(COMBINATIONS["smoke"].values()) + 1 - 1
