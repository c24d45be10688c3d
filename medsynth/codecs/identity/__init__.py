"""Pixels as they are: the latent of an image is the image, scaled to unit variance."""
