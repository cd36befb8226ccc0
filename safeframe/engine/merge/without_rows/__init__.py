"""What is made of a merge's result without its rows."""
