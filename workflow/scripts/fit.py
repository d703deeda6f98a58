from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.training.job import fit_as_job

    fit_as_job(dict(snakemake.params), dict(snakemake.input), dict(snakemake.output), snakemake.config)
