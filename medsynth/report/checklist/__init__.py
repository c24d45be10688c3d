"""A checklist for papers, filled from a run."""
