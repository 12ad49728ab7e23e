"""Templates and static files of the console."""
