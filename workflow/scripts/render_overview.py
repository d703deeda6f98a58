from posenc.jobs import job
from posenc.reporting.pages import render_overview

with job(snakemake.log[0]):
    render_overview(snakemake.params.facts, dict(snakemake.input), snakemake.output.page)
