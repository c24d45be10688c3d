"""A generator that a test watches: it draws noise at first, and what it has heard later."""
