//! Where a request is for, as policies change it.

use hyper::Uri;

use crate::policy::document::PathModifier;

/// Another path, with the same query. None where it does not change, or would not be one.
pub(super) fn path(modifier: &PathModifier, uri: &Uri) -> Option<Uri> {
    let path = match modifier {
        PathModifier::ReplaceFullPath { replace_full_path } => replace_full_path.clone(),
        PathModifier::ReplacePrefixMatch { prefix_match, replace_prefix_match } => {
            let prefix = prefix_match.trim_end_matches('/');
            let rest = uri.path().strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            format!("{}{rest}", replace_prefix_match.trim_end_matches('/'))
        }
    };
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}
