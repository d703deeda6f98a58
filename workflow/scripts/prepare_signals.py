from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.signals.sets import prepare_signals

    prepare_signals(snakemake.params.spec, snakemake.output.values, snakemake.output.rows)
