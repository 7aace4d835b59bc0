"""The six functions as several processes over servers: a supervisor, and what each process runs."""
