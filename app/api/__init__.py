"""HTTP endpoints, thin."""
