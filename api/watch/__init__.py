"""What is open to viewers without a key: pages, addresses for plain players, and the limits on both."""
