//! Raw configuration to validated configuration.
