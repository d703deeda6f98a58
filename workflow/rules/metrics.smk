# Metrics: stable rank and distance preservation of every combination's encoding, where it trains.


rule metrics:
    """Stage: only the metrics of the encodings"""
    input:
        [f"{PLAN.results}/metrics/{experiment}.json" for experiment in PLAN.experiments],


rule measure_encodings:
    """Step: stable rank and distance preservation, of one experiment"""
    input:
        unpack(PLAN.metrics_inputs),
    output:
        metrics=f"{PLAN.results}/metrics/{{experiment}}.json",
    log:
        f"{PLAN.results}/logs/metrics/{{experiment}}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda wildcards: PLAN.metrics_spec(wildcards.experiment),
        code=lambda wildcards: PLAN.metrics_digest(wildcards.experiment),
    message:
        "measure the encodings of {wildcards.experiment}"
    script:
        "../scripts/measure_encodings.py"
