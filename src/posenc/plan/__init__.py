"""The planner: which combinations, signals and artefacts a configuration asks for. Imports no torch."""
