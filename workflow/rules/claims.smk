# Claims: what the papers state, judged by the records.


rule claims:
    """Stage: only the verdicts on the papers' claims"""
    input:
        [f"{PLAN.reports}/{paper}/claims.json" for paper in PLAN.papers],


rule judge_claims:
    """Step: a paper's verdicts"""
    input:
        records=lambda wildcards: PLAN.records(PLAN.claim_experiments(wildcards.paper)),
    output:
        claims=f"{PLAN.reports}/{{paper}}/claims.json",
        table=report(
            f"{PLAN.reports}/{{paper}}/claims.csv",
            caption="../report/claims.rst",
            category="{paper}",
            subcategory="claims",
            labels={"artefact": "Verdicts on the paper's claims", "kind": "table"},
        ),
    log:
        f"{PLAN.results}/logs/judge_claims/{{paper}}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        claims=lambda wildcards: PLAN.papers[wildcards.paper].claims,
        published=lambda wildcards: PLAN.papers[wildcards.paper].published,
        artefact=lambda wildcards: PLAN.captions_context(wildcards.paper),
        preset=PLAN.preset,
        code=lambda wildcards: PLAN.digest("judge_claims"),
    message:
        "judge the claims of {wildcards.paper}"
    script:
        "../scripts/judge_claims.py"
