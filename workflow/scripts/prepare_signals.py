from posenc.jobs import job
from posenc.signals.sets import load_signals, write_signals

with job(snakemake.log[0]):
    write_signals(*load_signals(snakemake.params.spec), snakemake.output.values, snakemake.output.rows)
