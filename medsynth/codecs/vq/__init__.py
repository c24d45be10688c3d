"""Discrete tokens: an autoencoder with a codebook (van den Oord et al. 2017; Esser et al. 2021; Sun et al. 2024)."""
