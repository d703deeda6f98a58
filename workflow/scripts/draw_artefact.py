from posenc.jobs import job
from posenc.reporting.artefacts import draw_artefact

with job(snakemake.log[0]):
    draw_artefact(snakemake.params.artefact, snakemake.params.caption, snakemake.input, list(snakemake.output))
