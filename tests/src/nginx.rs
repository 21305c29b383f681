use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use interceptor::demo::pod::Pod;
use tempfile::TempDir;

use super::{Process, process::until};

/// nginx in a pod, with files of its own.
pub struct Nginx {
    // Ends before its files go.
    _process: Process,
    site: Site,
}

impl Nginx {
    /// Where it listens, IPv4 and IPv6.
    pub const PORT: u16 = 8080;
    /// Content of `/index.html`.
    pub const INDEX: &str = "<!doctype html><title>Iris</title>\n";

    /// Starts it and waits until it listens. `PUT /upload/…` stores, and `/paced/…` is sent in steps of 1 MiB a second.
    pub fn start(pod: &Pod) -> Result<Self> {
        Self::start_at(pod, Self::PORT)
    }

    /// The same at another port.
    pub fn start_at(pod: &Pod, port: u16) -> Result<Self> {
        let site = Site::create(port)?;
        let [program, arguments @ ..] = site.command();
        let process = Process::start(pod.command(program)?.args(arguments))?;
        site.wait()?;
        Ok(Self { _process: process, site })
    }

    /// The directory that it serves.
    pub fn files(&self) -> PathBuf {
        self.site.path().join("www")
    }
}

/// What nginx needs to run anywhere: its configuration, what it serves, and where it writes.
pub struct Site(TempDir);

impl Site {
    /// With `/index.html`.
    pub fn create(port: u16) -> Result<Self> {
        let root = tempfile::tempdir()?;
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        let www = root.path().join("www");
        // The workers are not root.
        for directory in [www.join("upload"), root.path().join("body")] {
            fs::create_dir_all(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))?;
        }
        fs::write(www.join("index.html"), Nginx::INDEX)?;
        fs::write(root.path().join("nginx.conf"), configuration(root.path(), port))?;
        Ok(Self(root))
    }

    /// All of it.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The command that serves it.
    pub fn command(&self) -> [String; 5] {
        let file = |name| self.path().join(name).display().to_string();
        ["nginx".to_owned(), "-c".to_owned(), file("nginx.conf"), "-e".to_owned(), file("error.log")]
    }

    /// Waits until it is served: then nginx writes its process id.
    pub fn wait(&self) -> Result<()> {
        let pid = self.path().join("nginx.pid");
        until(Duration::from_secs(10), "nginx", || Ok(fs::metadata(&pid).is_ok_and(|pid| pid.len() > 0).then_some(())))
    }
}

fn configuration(root: &Path, port: u16) -> String {
    let root = root.display();
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
            location /paced/ {{ alias {root}/www/; limit_rate 1m; }}
            location /upload/ {{ root {root}/www; dav_methods PUT; }}
          }}
        }}"
    )
}
