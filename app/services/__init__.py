"""What the library does, one noun a file."""
