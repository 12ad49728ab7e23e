"""Events, hooks and the outbox."""
