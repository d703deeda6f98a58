from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.reporting.artefacts import draw_artefact

    draw_artefact(snakemake.params.artefact, snakemake.params.caption, snakemake.input, list(snakemake.output))
