"""The five dimensions of quality, each a weighted mean of parts computed from the document."""
