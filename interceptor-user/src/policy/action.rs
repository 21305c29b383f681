use super::document::{Action, BackendRef, Rewrite};
use crate::model::Would;

impl Action {
    /// What the inline path would have done.
    pub fn would(&self) -> Option<Would> {
        let (action, detail) = if let Some(deny) = &self.deny {
            let text = if deny.message.is_empty() { String::new() } else { format!(": {}", deny.message) };
            ("deny", format!("{}{text}", *deny.status))
        } else if let Some(route) = &self.route {
            ("route", route.backend_refs.iter().map(backend).collect::<Vec<_>>().join(", "))
        } else if let Some(rewrite) = &self.rewrite {
            ("rewrite", changes(rewrite))
        } else if self.trace.is_some() {
            ("trace", String::new())
        } else {
            let limits = self.breaker.as_ref()?;
            let detail = format!("after {} errors, for {}", limits.consecutive_errors, limits.base_ejection_time);
            ("break", detail)
        };
        Some(Would { action, detail, done: false })
    }
}

fn backend(backend: &BackendRef) -> String {
    let namespace = backend.namespace.as_ref().map(|namespace| format!(".{namespace}")).unwrap_or_default();
    let port = backend.port.as_ref().map(|port| format!(":{}", port.value)).unwrap_or_default();
    let weight = if backend.weight == 1 { String::new() } else { format!(" (weight {})", backend.weight) };
    format!("{}{namespace}{port}{weight}", backend.name)
}

fn changes(rewrite: &Rewrite) -> String {
    use super::document::PathModifier as Path;
    let mut all = Vec::new();
    if let Some(url) = &rewrite.url_rewrite {
        all.extend(url.hostname.iter().map(|name| format!("host {name}")));
        all.extend(url.path.iter().map(|path| match path {
            Path::ReplaceFullPath { replace_full_path } => format!("path {replace_full_path}"),
            Path::ReplacePrefixMatch { prefix_match, replace_prefix_match } => {
                format!("path {prefix_match} to {replace_prefix_match}")
            }
        }));
    }
    if let Some(fields) = &rewrite.request_header_modifier {
        // Values may be secrets.
        all.extend(fields.set.iter().map(|field| format!("set {}", field.name)));
        all.extend(fields.add.iter().map(|field| format!("add {}", field.name)));
        all.extend(fields.remove.iter().map(|name| format!("remove {name}")));
    }
    all.join(", ")
}
