from posenc.jobs import job
from posenc.records import concatenate_records

with job(snakemake.log[0]):
    concatenate_records(snakemake.input, snakemake.output[0])
