"""A simulated world around the real control loop. Start with `world.World`."""
