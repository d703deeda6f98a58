# Measures: what trained networks are asked once their sigma is chosen, without training.


rule measures:
    """Stage: only the measures"""
    input:
        [f"{PLAN.results}/measures/{measure}.npz" for measure in PLAN.measures],


for measure in PLAN.measures:

    rule:
        name:
            f"measure_{measure}"
        input:
            **PLAN.measure_inputs(measure),
        output:
            arrays=f"{PLAN.results}/measures/{measure}.npz",
        log:
            f"{PLAN.results}/logs/measures/{measure}.log",
        conda:
            "../../envs/environment.yaml"
        resources:
            mem_mb=1500,
            gpu=PLAN.gpus_per_fit,
        params:
            spec=lambda wildcards, measure=measure: PLAN.measure_spec(measure),
            code=lambda wildcards, measure=measure: PLAN.measure_digest(measure),
        message:
            f"measure {measure}"
        script:
            "../scripts/measure.py"

    workflow.get_rule(f"measure_{measure}").docstring = (
        f"Measure: {PLAN.measures[measure][1].title}"
    )
