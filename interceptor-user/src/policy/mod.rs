//! What the user wants to see.
