"""Routes for operating a deployment: health, metrics, drain, doctor."""
