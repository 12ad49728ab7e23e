"""Real faults on real processes: stack, servers, scenarios, invariants."""
