"""Full-text search behind one interface."""
