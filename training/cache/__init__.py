"""What frozen models make of samples, computed once: video latents, text embeddings, ID latents."""
