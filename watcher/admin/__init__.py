"""What is served over HTTP: health, readiness, metrics. It shows what facts told; it decides nothing."""
