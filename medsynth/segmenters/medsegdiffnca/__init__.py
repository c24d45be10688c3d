"""MedSegDiffNCA: automata that remove the noise from a mask."""
