# Reports: a notebook per paper and the overview, as web pages that open offline.

for paper in PLAN.papers.values():
    targets = [
        target for target, (owner, _, _) in PLAN.artefacts.items() if owner is paper
    ]

    rule:
        name:
            f"{paper.name}_notebook"
        input:
            notebook=PLAN.relative(paper.notebook),
            cards=[PLAN.artefact_files(target)["json"] for target in targets],
            shown=[
                path
                for target in targets
                for path in PLAN.artefact_files(target).values()
                if path[-3:] in ("png", "csv")
            ],
            claims=f"{PLAN.reports}/{paper.name}/claims.json",
            summaries=PLAN.records(paper.experiments, "json"),
        output:
            manifest=f"{PLAN.reports}/{paper.name}/manifest.json",
            page=report(
                f"{PLAN.reports}/{paper.name}.html",
                caption="../report/notebook.rst",
                category=paper.name,
                labels={"artefact": "Notebook", "kind": "page"},
            ),
        log:
            f"{PLAN.results}/logs/{paper.name}_notebook.log",
        conda:
            "../../envs/environment.yaml"
        resources:
            mem_mb=1500,
        params:
            artefact=lambda wildcards, name=paper.name: PLAN.captions_context(name),
            paper=lambda wildcards, name=paper.name: PLAN.paper_spec(name),
            code=lambda wildcards, notebook=paper.notebook: PLAN.digest(
                "render_paper", notebook
            ),
        message:
            f"render the notebook of {paper.name}"
        script:
            "../scripts/render_paper.py"

    workflow.get_rule(f"{paper.name}_notebook").docstring = (
        f"{paper.name}: the notebook, with all it shows"
    )

    rule:
        name:
            paper.name
        input:
            f"{PLAN.reports}/{paper.name}.html",
            [
                path
                for target in targets
                for path in PLAN.artefact_files(target).values()
            ],
            f"{PLAN.results}/{paper.name}.parquet",

    workflow.get_rule(paper.name).docstring = f"Paper: {paper.about.title}"


rule render_overview:
    """Step: the overview page"""
    input:
        notebook=PLAN.relative(PLAN.overview),
        manifests=[f"{PLAN.reports}/{paper}/manifest.json" for paper in PLAN.papers],
        pages=[f"{PLAN.reports}/{paper}.html" for paper in PLAN.papers],
    output:
        page=report(
            f"{PLAN.reports}/index.html",
            caption="../report/overview.rst",
            category="overview",
            labels={"artefact": "Overview", "kind": "page"},
        ),
    log:
        f"{PLAN.results}/logs/render_overview.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        facts=PLAN.facts,
        code=lambda wildcards: PLAN.digest("render_overview", PLAN.overview),
    message:
        "render the overview"
    script:
        "../scripts/render_overview.py"
