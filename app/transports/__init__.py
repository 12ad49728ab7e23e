"""One seam, two brokers."""
