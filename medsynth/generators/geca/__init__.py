"""GeCA: a diffusion model whose denoiser is a neural cellular automaton (Elbatel et al., MICCAI 2024)."""
