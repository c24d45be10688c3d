"""iDDPM: improved denoising diffusion on pixels (Nichol & Dhariwal, ICML 2021)."""
