"""Arrays in other chunks."""
