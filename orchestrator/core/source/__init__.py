"""What is known of a source, and how that changes."""
