# Signals: what is represented. Kept once for all presets, under the settings that make them.


rule signals:
    """Stage: only the signals"""
    input:
        sorted(
            {
                PLAN.signals(experiment, "signals.npz")
                for experiment in PLAN.experiments
            }
        ),


rule prepare_signals:
    """Step: one signal set"""
    input:
        lambda wildcards: PLAN.signal_files(wildcards.key),
    output:
        values="results/signals/{key}/signals.npz",
        rows="results/signals/{key}/signals.json",
    log:
        "results/logs/prepare_signals/{key}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        spec=lambda wildcards: PLAN.signal_specs[wildcards.key],
        code=lambda wildcards: PLAN.signals_digest(wildcards.key),
    message:
        "prepare signals {wildcards.key}"
    script:
        "../scripts/prepare_signals.py"
