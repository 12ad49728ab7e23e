"""HTTP shapes, one noun a file."""
