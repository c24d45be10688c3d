"""LDM: latent diffusion with a U-Net (Rombach et al., CVPR 2022), the first baseline of the GeCA paper."""
