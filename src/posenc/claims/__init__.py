"""Claims of a paper: declared in claims.yaml, measured by statistics, judged by intervals."""
