"""Files of weights that people bring along: their names, where they are looked for, and how they are recognised."""
