"""The commands of `alexandria`, by what they are about."""
