"""Changes: how the API learns of them, and how it announces its own."""
