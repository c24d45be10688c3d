"""Scores to a page. Knows no torch."""
