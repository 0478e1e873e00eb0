"""Video models: stock diffusers and transformers classes, loaded, widened and called as in inference."""
