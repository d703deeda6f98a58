from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.training.fit import fit_combination

    fit_combination(
        snakemake.params.combination, dict(snakemake.input), dict(snakemake.output), snakemake.config["device"]
    )
