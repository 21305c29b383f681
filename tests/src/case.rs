use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::Python;

/// Something that a test cannot do without.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// Namespaces, cgroups and bpf().
    Root,
    /// A program, and the Debian package that has it.
    Program(&'static str, &'static str),
    /// Packages from PyPI, those of `tests/e2e/NAME/requirements.txt`.
    Packages(&'static str),
}

/// A test and what it needs.
pub struct Case {
    name: String,
    needs: Vec<Need>,
    run: Box<dyn FnOnce() -> anyhow::Result<()> + Send>,
}

impl Case {
    /// Named as it will be reported.
    pub fn new(
        name: impl Into<String>,
        needs: &[Need],
        run: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Self { name: name.into(), needs: needs.to_vec(), run: Box::new(run) }
    }

    fn into_trial(self) -> Trial {
        Trial::ignorable_test(self.name, move || {
            let missing: Vec<_> = self.needs.iter().filter_map(|need| need.missing()).collect();
            match (missing.is_empty(), env::var_os("REQUIRE_ROOT").is_some_and(|value| value == "1")) {
                (true, _) => (self.run)().map(|()| Completion::Completed).map_err(|error| format!("{error:#}").into()),
                (false, true) => Err(Failed::from(format!("REQUIRE_ROOT=1, and {}", missing.join("; ")))),
                (false, false) => Ok(Completion::ignored_with(missing.join("; "))),
            }
        })
    }
}

impl Need {
    /// What is missing, and how to get it.
    fn missing(self) -> Option<String> {
        match self {
            Self::Root if !nix::unistd::geteuid().is_root() => Some("this takes root: run it with sudo".into()),
            Self::Root => None,
            Self::Packages(name) => Python::with(name).err().map(|error| format!("no packages from PyPI: {error:#}")),
            Self::Program(program, package) => find(program)
                .is_none()
                .then(|| format!("there is no `{program}`: apt-get install --no-install-recommends {package}")),
        }
    }
}

/// Root's PATH may lack the directories of servers.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|path| Path::is_file(path))
}

/// Runs the tests as the command line says.
pub fn run(cases: Vec<Case>) -> ExitCode {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, cases.into_iter().map(Case::into_trial).collect()).exit_code()
}
