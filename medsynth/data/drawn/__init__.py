"""A seed -> a cohort of drawn retina photographs with labels and lesion masks, to try the program without any patient."""

from medsynth.data.drawn.cohort import EXUDATES, HAEMORRHAGES, LABELS, WOOL_SPOTS, draw_cohort

__all__ = ["EXUDATES", "HAEMORRHAGES", "LABELS", "WOOL_SPOTS", "draw_cohort"]
