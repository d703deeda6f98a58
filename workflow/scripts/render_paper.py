from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.reporting.pages import render_paper

    render_paper(snakemake.params.paper, dict(snakemake.input), snakemake.output.manifest, snakemake.output.page)
