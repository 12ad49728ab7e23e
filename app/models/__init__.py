"""Tables, one noun a file."""
