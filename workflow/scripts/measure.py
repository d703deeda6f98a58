from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.measures.job import measure_as_job

    measure_as_job(snakemake.params.spec, dict(snakemake.output), snakemake.config)
