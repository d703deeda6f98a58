from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.theory.study import run_study

    run_study(snakemake.params.spec, dict(snakemake.output))
