"""The order of rooms: which stage runs on which day, from which tables, with which salt."""
