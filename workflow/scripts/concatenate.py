from posenc.jobs import job

with job(snakemake.log[0]):
    from posenc.records import concatenate_records

    concatenate_records(snakemake.input, snakemake.output[0])
