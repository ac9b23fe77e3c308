"""Routes for whoever runs the deployment: health, metrics, drain, doctor."""
