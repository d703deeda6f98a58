# Theory: what is computed without training, exact at every preset. A study may start from what fits began with. Of the
# same form are studies that measure times; nothing runs beside them.


rule theory:
    """Stage: only the theory studies"""
    input:
        PLAN.records(PLAN.studies),


for study in PLAN.studies:

    rule:
        name:
            f"theory_{study}"
        input:
            **PLAN.study_inputs(study),
        output:
            arrays=f"{PLAN.results}/theory/{study}.npz",
            records=f"{PLAN.results}/theory/{study}.parquet",
            summary=f"{PLAN.results}/theory/{study}.json",
        log:
            f"{PLAN.results}/logs/theory/{study}.log",
        conda:
            "../../envs/environment.yaml"
        threads: PLAN.study_threads(study, CORES)
        resources:
            mem_mb=PLAN.study_memory_mb(study),
        params:
            spec=lambda wildcards, study=study: PLAN.study_spec(study),
            code=lambda wildcards, study=study: PLAN.study_digest(study),
        message:
            f"compute {study}"
        script:
            "../scripts/study.py"

    workflow.get_rule(f"theory_{study}").docstring = (
        f"Theory: {PLAN.studies[study][1].title}"
    )
