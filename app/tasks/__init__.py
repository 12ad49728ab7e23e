"""Celery application, tasks, relay, schedule."""
