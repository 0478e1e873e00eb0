"""Metrics of generated videos: numpy in, numbers out, one file each, with definition and source."""
