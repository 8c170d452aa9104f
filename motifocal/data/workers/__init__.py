"""Apply a function to many items on workers: threads, processes, or the machines of a cluster."""
