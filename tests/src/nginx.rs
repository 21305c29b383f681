use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use anyhow::Result;
use interceptor::demo::pod::Pod;
use tempfile::TempDir;

use super::{Process, process::until};

/// nginx in a pod, with files of its own.
pub struct Nginx {
    // Ends before its files go.
    _process: Process,
    root: TempDir,
}

impl Nginx {
    /// Where it listens, IPv4 and IPv6.
    pub const PORT: u16 = 8080;
    /// Content of `/index.html`.
    pub const INDEX: &str = "<!doctype html><title>Iris</title>\n";

    /// Starts it and waits until it listens. `PUT /upload/…` stores.
    pub fn start(pod: &Pod) -> Result<Self> {
        let root = tempfile::tempdir()?;
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        let www = root.path().join("www");
        // The workers are not root.
        for directory in [www.join("upload"), root.path().join("body")] {
            fs::create_dir_all(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))?;
        }
        fs::write(www.join("index.html"), Self::INDEX)?;
        let conf = root.path().join("nginx.conf");
        fs::write(&conf, configuration(root.path()))?;
        let log = root.path().join("error.log");
        let process = Process::start(pod.command("nginx")?.arg("-c").arg(&conf).arg("-e").arg(log))?;
        // It writes its pid once it listens.
        let pid = root.path().join("nginx.pid");
        until(Duration::from_secs(10), "nginx", || {
            Ok(fs::metadata(&pid).is_ok_and(|pid| pid.len() > 0).then_some(()))
        })?;
        Ok(Self { _process: process, root })
    }

    /// The directory that it serves.
    pub fn files(&self) -> std::path::PathBuf {
        self.root.path().join("www")
    }
}

fn configuration(root: &Path) -> String {
    let root = root.display();
    let port = Nginx::PORT;
    let unused: String =
        ["proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path {root}/{name};")).concat();
    format!(
        "daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
        events {{ worker_connections 4096; }} worker_rlimit_nofile 8192;
        http {{
          access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0;
          client_body_temp_path {root}/body; {unused}
          server {{
            listen {port} backlog=4096; listen [::]:{port} backlog=4096; root {root}/www;
            location = /nothing {{ return 204; }}
            location /upload/ {{ root {root}/www; dav_methods PUT; }}
          }}
        }}"
    )
}
