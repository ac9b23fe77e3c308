"""One session as a client sees it: joining, leases, views, and what each audience may read."""
