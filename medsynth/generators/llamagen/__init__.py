"""LlamaGen: a transformer that draws an image's tokens one after the other (Sun et al. 2024)."""
