use thiserror::Error;

/// What is wrong with an inspector's settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct Error {
    /// Which setting, within the inspector's.
    pub field: String,
    /// What is wrong with it, and what is allowed.
    pub message: String,
}

impl Error {
    /// This is wrong with this setting.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}
