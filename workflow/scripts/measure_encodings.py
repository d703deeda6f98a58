from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.measures.metrics import run_metrics

    run_metrics(snakemake.params.spec, snakemake.output.metrics)
