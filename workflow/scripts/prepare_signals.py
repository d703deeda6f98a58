from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.signals.sets import load_signals, write_signals

    write_signals(*load_signals(snakemake.params.spec), snakemake.output.values, snakemake.output.rows)
