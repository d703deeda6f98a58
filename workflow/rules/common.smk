# What all rules share: the report's front page, limits of wildcards, and the order of the menu.


report: "../report/workflow.rst"


wildcard_constraints:
    experiment=r"\w+",
    encoding=r"[^/]+",
    network=r"[^/]+",
    seed=r"\d+|all",
    paper=r"\w+",
    key=r"[^/]+",


localrules:
    all,
