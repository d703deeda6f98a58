"""The papers: a package each, its tables and figures as functions of records, arrays and published numbers.

Nothing here sees a model, a path or a config file: an artefact is a function of a `Material`.
"""
