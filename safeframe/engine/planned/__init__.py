"""What the expressions and graphs of all recipes have in common."""
