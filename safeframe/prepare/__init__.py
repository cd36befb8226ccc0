"""What a recipe does before it plans: checks arguments, and gathers the facts that its planner needs."""
