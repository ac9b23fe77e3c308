"""What the operator's console shows: the page, the overview, the event feed."""
