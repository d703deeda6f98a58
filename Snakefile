# posenc: positional encodings, reproduced. Try `snakemake --list`, or see README.md.
import os
import sys

sys.path.insert(0, os.path.join(workflow.basedir, "src"))

from posenc import forkserver
from posenc.plan import runs, slurm
from posenc.plan.workflow import plan_for_snakemake
from snakemake.persistence import PersistenceBase

# Scripts run in processes of their own.
runs.tell_jobs(sys.path[0])
if workflow.is_main_process:
    runs.end_if_unwritable([".snakemake"])
    runs.begin_alone(workflow, slurm.begin)
slurm.leave_marks_to_the_run(workflow, PersistenceBase)
# config.yaml and what the command line says, validated together; a mistake ends here.
PLAN = plan_for_snakemake(workflow)


include: "workflow/rules/common.smk"


rule all:
    """Everything: all papers, then the overview at reports/<preset>/index.html"""
    input:
        f"{PLAN.reports}/index.html",
        [f"{PLAN.results}/{paper}.parquet" for paper in PLAN.papers],
        PLAN.on_the_way,


include: "workflow/rules/reports.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/artefacts.smk"
include: "workflow/rules/claims.smk"


onstart:
    runs.end_if_unwritable([PLAN.results, "results/signals", PLAN.reports])
    runs.say_what_jobs_counts(workflow)
    runs.bring_dates_back(
        {path for job in workflow.dag.needrun_jobs() for path in job.input}
    )
    forkserver.begin(workflow, PLAN.gpus)
