"""What is broken, and what must hold."""
