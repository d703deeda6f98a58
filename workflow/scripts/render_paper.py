from posenc.jobs import job
from posenc.reporting.pages import render_paper

with job(snakemake.log[0]):
    render_paper(snakemake.params.paper, dict(snakemake.input), snakemake.output.manifest, snakemake.output.page)
