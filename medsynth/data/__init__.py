"""Sources, images and folds: from the files of a clinic to arrays."""
