"""Plans arrays in other chunks."""
