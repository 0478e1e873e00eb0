"""The Frame In / Frame Out benchmark: chosen, cut, and read from the published files."""
