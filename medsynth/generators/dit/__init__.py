"""DiT: a diffusion model whose denoiser is a transformer over patches of latents (Peebles & Xie, ICCV 2023)."""
