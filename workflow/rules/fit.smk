# Fits: one job per combination. It trains a network on each signal of its experiment.


rule fits:
    """Stage: only the trained networks"""
    input:
        [
            path
            for experiment in PLAN.experiments
            for path in PLAN.fits(experiment, "values.csv")
        ],


rule fit:
    """Step: one combination"""
    input:
        values=lambda wildcards: PLAN.signals(wildcards.experiment, "signals.npz"),
        rows=lambda wildcards: PLAN.signals(wildcards.experiment, "signals.json"),
    output:
        values=f"{PLAN.results}/fits/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}/values.csv",
        arrays=f"{PLAN.results}/fits/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}/arrays.npz",
        weights=f"{PLAN.results}/fits/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}/weights.safetensors",
        provenance=f"{PLAN.results}/fits/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}/provenance.json",
    log:
        f"{PLAN.results}/logs/fit/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}.log",
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        gpu=PLAN.gpus_per_fit,
    params:
        combination=PLAN.fit_spec,
        code=PLAN.fit_digest,
    message:
        "fit {wildcards.experiment} {wildcards.encoding} {wildcards.network} seed {wildcards.seed}"
    script:
        "../scripts/fit.py"
