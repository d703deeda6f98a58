from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.records import collect_records

    collect_records(
        snakemake.params.settings,
        snakemake.input.values,
        snakemake.input.provenance,
        snakemake.input.rows,
        snakemake.input.metrics,
        snakemake.output.records,
        snakemake.output.summary,
    )
