"""The pure heart. Nothing here reads a clock, rolls dice, logs, or touches a socket:
time and chance arrive as arguments, so every decision is a function a test can call."""
