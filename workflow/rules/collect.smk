# Records: one table per experiment, values joined with the settings of their combinations.


rule records:
    """Stage: only the tidy tables of results"""
    input:
        [f"{PLAN.results}/{paper}.parquet" for paper in PLAN.papers],


rule collect:
    """Step: the records of one experiment"""
    input:
        values=lambda wildcards: PLAN.fits(wildcards.experiment, "values.csv"),
        provenance=lambda wildcards: PLAN.fits(wildcards.experiment, "provenance.json"),
        rows=lambda wildcards: PLAN.signals(wildcards.experiment, "signals.json"),
        metrics=f"{PLAN.results}/metrics/{{experiment}}.json",
    output:
        records=f"{PLAN.results}/records/{{experiment}}.parquet",
        summary=f"{PLAN.results}/records/{{experiment}}.json",
    log:
        f"{PLAN.results}/logs/collect/{{experiment}}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        settings=lambda wildcards: PLAN.collect_settings(wildcards.experiment),
        code=PLAN.digest("collect"),
    message:
        "collect the records of {wildcards.experiment}"
    script:
        "../scripts/collect.py"


rule concatenate:
    """Step: a paper's records in one table"""
    input:
        lambda wildcards: PLAN.records(PLAN.papers[wildcards.paper].experiments),
    output:
        f"{PLAN.results}/{{paper}}.parquet",
    log:
        f"{PLAN.results}/logs/concatenate/{{paper}}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        code=PLAN.digest("concatenate"),
    message:
        "put all records of {wildcards.paper} into one table"
    script:
        "../scripts/concatenate.py"
