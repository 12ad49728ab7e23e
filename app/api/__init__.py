"""Thin HTTP endpoints over the services."""
