"""The recorded conversations, a module for each protocol."""
