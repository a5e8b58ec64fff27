//! Where the programs are that a scenario starts.

use std::env;
use std::path::{Path, PathBuf};

/// A program of this workspace (`beacon`, `beacon-worker`, `beacon-notifier`), from the same target directory and
/// profile as the running test or benchmark.
///
/// # Panics
/// When it has not been built; the message says how to build it.
pub fn workspace(name: &str) -> PathBuf {
    let test = env::current_exe().expect("Linux knows the path of a running program");
    let directory = test
        .ancestors()
        .skip(1)
        .find(|directory| !directory.ends_with("deps") && !directory.ends_with("examples"))
        .expect("a program stands in a directory");
    let program = directory.join(name);
    assert!(
        program.is_file(),
        "{} is not there; build it first: . scripts/env.sh && cargo build --workspace --bins{}",
        program.display(),
        if directory.ends_with("release") { " --release" } else { "" },
    );
    program
}

/// A program of the machine, found on `PATH`.
///
/// # Panics
/// When it is missing; the message names the Debian package and the one command that installs all of them.
pub fn installed(name: &str, package: &str) -> PathBuf {
    on_path(name).unwrap_or_else(|| panic!("{name} is not installed; {}", install(package)))
}

/// The way out of a missing package.
pub(crate) fn install(package: &str) -> String {
    format!("run scripts/setup.sh test (which installs Debian's {package} with the rest), or apt-get install {package}")
}

pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .chain([Path::new("/usr/bin").to_path_buf()])
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// Where scripts/setup.sh puts what is no Debian package, by the same rule as scripts/env.sh.
pub(crate) fn cache() -> PathBuf {
    let given = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    given("BEACON_CACHE")
        .or_else(|| given("XDG_CACHE_HOME").map(|cache| cache.join("beacon")))
        .unwrap_or_else(|| given("HOME").unwrap_or_else(|| PathBuf::from("/root")).join(".cache/beacon"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_program_is_found_on_the_path() {
        assert!(installed("sh", "dash").ends_with("sh"));
    }

    #[test]
    #[should_panic(expected = "apt-get install no-such-package")]
    fn a_missing_program_names_its_package() {
        installed("no-such-program", "no-such-package");
    }

    #[test]
    #[should_panic(expected = "cargo build --workspace --bins")]
    fn an_unbuilt_program_says_how_to_build_it() {
        workspace("no-such-program");
    }
}
