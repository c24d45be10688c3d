"""A generator that a test puts beside the others: it learns a mean for each label, and adds noise."""
