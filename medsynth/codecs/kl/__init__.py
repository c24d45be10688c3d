"""A variational autoencoder with continuous latents (Rombach et al. 2022; diffusers' AutoencoderKL)."""
