"""Tables, distributions and players of scored runs."""
