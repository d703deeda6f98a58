# Fits: one job per combination. It trains a network on each signal of its experiment.

# Jobs that run elsewhere count no cores of this machine; on its node such a job has those it was sent off with.
CORES = workflow.is_main_process and workflow.resource_settings.cores or 1


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
        unpack(PLAN.fit_inputs),
    output:
        values=f"{PLAN.results}/fits/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}/values.csv",
        arrays=f"{PLAN.results}/fits/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}/arrays.npz",
        weights=f"{PLAN.results}/fits/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}/weights.safetensors",
        provenance=f"{PLAN.results}/fits/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}/provenance.json",
    log:
        f"{PLAN.results}/logs/fit/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}.log",
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: PLAN.fit_threads(wildcards, CORES)
    resources:
        # A cluster's retry gets more of both.
        mem_mb=lambda wildcards, attempt: PLAN.fit_memory_mb(
            wildcards, attempt, elsewhere=workflow.non_local_exec
        ),
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=PLAN.gpus_per_fit,
    params:
        combination=PLAN.fit_spec,
        code=PLAN.fit_digest,
        checkpoint=f"{PLAN.results}/checkpoints/{{experiment}}/{{encoding}}/{{network}}/seed={{seed}}.safetensors",
    message:
        "fit {wildcards.experiment} {wildcards.encoding} {wildcards.network} seed {wildcards.seed}"
    script:
        "../scripts/fit.py"
