"""What every plugin shares: serving the plugin protocol, property values, errors, and the engine's log."""
