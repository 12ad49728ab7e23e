"""Pure functions: no I/O."""
