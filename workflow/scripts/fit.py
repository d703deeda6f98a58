from posenc.jobs import job
from posenc.training.fit import fit_combination

with job(snakemake.log[0]):
    fit_combination(
        snakemake.params.combination, dict(snakemake.input), dict(snakemake.output), snakemake.config["device"]
    )
