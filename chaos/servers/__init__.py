"""Private servers for tests, benchmarks and chaos runs: own port, own data, gone with their owner."""
