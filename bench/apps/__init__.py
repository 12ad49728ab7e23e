"""The same two tasks for each system; each module runs in its system's own environment, beside nothing else of ours."""
