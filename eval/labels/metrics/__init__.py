"""Metrics of curation's labels: plain numpy, standard definitions, one file each."""
