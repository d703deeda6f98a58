"""Clocks that jumped: files dated ahead of the clock make no job run again, and none fail."""

from pathlib import Path

from faults import THREE_FITS_RECORDS, Undisturbed, results_of
from project import copy_project, copy_run, date, dry_run, pictures, planned, snakemake


def test_a_job_whose_inputs_are_dated_ahead_runs(three_fits: Undisturbed, tmp_path: Path) -> None:
    folder = copy_run(three_fits.folder, tmp_path / "posenc")
    (folder / THREE_FITS_RECORDS).unlink()
    next(folder.glob("results/smoke/fits/**/values.csv")).unlink()
    date(2100, folder)
    run = snakemake(folder, THREE_FITS_RECORDS)
    assert run.returncode == 0, run.stderr
    assert "2 jobs to do: 1 fit, 1 collect" in run.stderr
    assert results_of(folder) == three_fits.results
    assert dry_run(folder, THREE_FITS_RECORDS) == {}


def test_the_user_s_pictures_keep_their_dates(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "posenc")
    named = pictures(tmp_path / "pictures", "a.png", "b.png", "c.png")
    command = ("signals", "--config", "preset=smoke", f"data={{folder: {named}}}")
    date(2100, named)
    refused = snakemake(folder, *command)
    assert refused.returncode != 0
    assert "posenc: nothing was started, because " in refused.stderr
    assert ".png is dated 2100-01-01 00:00, and this machine's clock stands at 20" in refused.stderr
    assert "give such files the present date with `touch`" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (named / "a.png").stat().st_mtime > 4e9

    date(1960, named)
    assert snakemake(folder, *command).returncode == 0
    date(2100, named)
    assert planned(snakemake(folder, "-n", *command)) == {}
