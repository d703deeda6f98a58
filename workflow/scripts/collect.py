from posenc.jobs import job
from posenc.records import collect_records

with job(snakemake.log[0]):
    collect_records(
        snakemake.params.settings,
        snakemake.input.values,
        snakemake.input.provenance,
        snakemake.input.rows,
        snakemake.output.records,
        snakemake.output.summary,
    )
