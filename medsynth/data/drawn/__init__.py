"""A seed -> drawn retina photographs with labels and lesion masks: a cohort to try the program on, of nobody."""

from medsynth.data.drawn.cohort import EXUDATES, HAEMORRHAGES, LABELS, WOOL_SPOTS, draw_cohort

__all__ = ["EXUDATES", "HAEMORRHAGES", "LABELS", "WOOL_SPOTS", "draw_cohort"]
