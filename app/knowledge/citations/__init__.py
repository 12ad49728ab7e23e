"""Citations: which works a text names, by which identifiers, and where."""
