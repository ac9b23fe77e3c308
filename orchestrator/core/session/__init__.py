"""What follows for a session: the rules, state by state. Start with `decide`."""
