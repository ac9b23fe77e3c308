"""How the API learns that something has changed, and how it says so."""
