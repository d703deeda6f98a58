from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.reporting.verdicts import judge_paper

    judge_paper(
        snakemake.params.claims,
        snakemake.input.records,
        snakemake.params.published,
        snakemake.params.preset,
        snakemake.output.claims,
        snakemake.output.table,
    )
