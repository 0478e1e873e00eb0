"""The web page: draw a request by hand, generate it, look at the result. `python -m inference app`."""
