from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.reporting.pages import render_overview

    render_overview(snakemake.params.facts, dict(snakemake.input), snakemake.output.page)
