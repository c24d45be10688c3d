"""Automata that draw a mask at once, as in Med-NCA."""
