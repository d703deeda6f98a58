"""Encodings: coordinates to features. One class per encoding; this file imports none of them."""
