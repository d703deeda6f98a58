# Tables and figures: a rule each, named <paper>_<artefact>, made from the papers' lists.


rule tables:
    """Stage: all tables"""
    input:
        [
            PLAN.artefact_files(target)["csv"]
            for target in PLAN.artefacts
            if PLAN.artefacts[target][2].kind == "table"
        ],


rule figures:
    """Stage: all figures"""
    input:
        [
            PLAN.artefact_files(target)["png"]
            for target in PLAN.artefacts
            if PLAN.artefacts[target][2].kind == "figure"
        ],


for target, (paper, name, artefact) in PLAN.artefacts.items():
    files = PLAN.artefact_files(target)
    shown = "png" if artefact.kind == "figure" else "csv"

    rule:
        name:
            target
        input:
            **PLAN.artefact_inputs(target),
        output:
            report(
                files[shown],
                caption=str(paper.caption(name)),
                category=paper.name,
                subcategory=artefact.section,
                labels={"artefact": artefact.title, "kind": artefact.kind},
            ),
            *[path for suffix, path in files.items() if suffix != shown],
        log:
            f"{PLAN.results}/logs/artefacts/{target}.log",
        conda:
            "../../envs/environment.yaml"
        resources:
            mem_mb=1500,
        params:
            artefact=lambda wildcards, target=target: PLAN.artefact_spec(target),
            caption=lambda wildcards, path=paper.caption(name): path.read_text(),
            code=lambda wildcards, target=target: PLAN.artefact_digest(target),
        message:
            f"draw {paper.name} {name}"
        script:
            "../scripts/draw_artefact.py"

    workflow.get_rule(target).docstring = f"{paper.name}: {artefact.title}"
