"""The rules of a session, state by state. Start with `decide`."""
