//! Where Kafka's jars and a Java to run them are. `scripts/kafka-jars.sh` puts them there.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::binaries;

/// The pom is the one place where the broker's version is written.
const POM: &str = include_str!("../../kafka/pom.xml");
const OLDEST_JAVA: u32 = 17;

/// What a broker process needs.
#[derive(Clone, Debug)]
pub(super) struct Jars {
    pub(super) java: PathBuf,
    /// A Java class path: every jar of the directory.
    pub(super) class_path: String,
}

/// Finds both.
///
/// # Errors
/// What is missing, to be put into a sentence.
pub(super) fn locate() -> Result<Jars, String> {
    let java = java()?;
    let version = version();
    let directory = binaries::cache().join("kafka").join(version);
    if !directory.join(format!("kafka_2.13-{version}.jar")).is_file() {
        return Err(format!("Kafka {version}'s jars are not in {}", directory.display()));
    }
    Ok(Jars { java, class_path: format!("{}/*", directory.display()) })
}

/// The version of Apache Kafka that tests run on.
pub(super) fn version() -> &'static str {
    let (_, rest) = POM.split_once("<kafka.version>").expect("scenari/kafka/pom.xml names the version");
    rest.split_once("</kafka.version>").expect("the element is closed").0
}

fn java() -> Result<PathBuf, String> {
    let java = env::var_os("JAVA_HOME")
        .map(|home| PathBuf::from(home).join("bin/java"))
        .filter(|java| java.is_file())
        .or_else(|| binaries::on_path("java"))
        .ok_or("there is no java")?;
    let said = Command::new(&java)
        .arg("-version")
        .output()
        .map_err(|error| format!("{} does not start: {error}", java.display()))?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    match major(&said) {
        Some(major) if major >= OLDEST_JAVA => Ok(java),
        Some(major) => Err(format!("{} is Java {major}, older than {OLDEST_JAVA}", java.display())),
        None => Err(format!("{} does not tell its version: {said}", java.display())),
    }
}

/// The major version in the output of `java -version`; before 9 it stood behind `1.`.
fn major(said: &str) -> Option<u32> {
    let (_, rest) = said.split_once("version \"")?;
    let (version, _) = rest.split_once('"')?;
    let mut numbers = version.split(['.', '-', '_', '+']).map_while(|part| part.parse().ok());
    match numbers.next()? {
        1 => numbers.next(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_pom() {
        let parts: Vec<u32> = version().split('.').map(|part| part.parse().expect("a number")).collect();
        assert!(parts >= vec![4, 1, 1], "{parts:?}");
    }

    #[test]
    fn major_versions_of_old_and_new_javas_are_understood() {
        for (said, wanted) in [
            ("openjdk version \"17.0.15\" 2025-04-15", Some(17)),
            ("openjdk version \"21\" 2023-09-19", Some(21)),
            ("openjdk version \"25-ea\" 2025-09-16", Some(25)),
            ("java version \"1.8.0_392\"", Some(8)),
            ("java: command not found", None),
        ] {
            assert_eq!(major(said), wanted, "{said}");
        }
    }
}
