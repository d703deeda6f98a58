"""posenc: positional encodings, reproduced end to end."""
