"""Training samples from curated manifests: one function that builds a sample, two feeders that call it."""
