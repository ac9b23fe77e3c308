"""The management API and the routes of a session."""
