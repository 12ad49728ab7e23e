"""`alexandria up`: the whole stack as child processes, and their servers."""
