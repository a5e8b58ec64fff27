//! Mends a fault of librdkafka that can end the process, until a release of it does: its issue 5280.
//!
//! Of an answer to a fetch that names no leader (-1) for some partitions, librdkafka 2.6.1 to 2.12.1 (the newest there is a crate of)
//! counts these and does not write them down, and reads memory later that nobody wrote. A broker that has just come back answers
//! so. Here that one file is compiled a second time, with the count put right, from the source that the crate `rdkafka-sys` has
//! brought and compiled. The linker takes what is asked for by name from here, and leaves the other file where it is
//! (`src/log/kafka/raw/leaderless_tests.rs: an_answer_that_names_no_leader_for_some_partitions_harms_nobody`; decision 0081).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "kafka")]
    librdkafka::mend();
}

#[cfg(feature = "kafka")]
mod librdkafka {
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    const FILE: &str = "rdkafka_fetcher.c";
    /// Where all partitions of a topic that have a leader are written down.
    const PLACE: &str = "changed_topic++;";
    const MENDED: &str =
        "md->topics[changed_topic].partition_cnt = changed_partition;\n                        changed_topic++;";

    pub fn mend() {
        // Not there where librdkafka is one of the system's, which is linked as it is.
        let Some(root) = env::var_os("DEP_RDKAFKA_ROOT").map(PathBuf::from) else { return };
        match mended(&root) {
            Ok(source) => compile(&root, &source),
            Err(reason) => {
                println!("cargo:warning=librdkafka is linked without the mending of its issue 5280: {reason}")
            }
        }
    }

    /// The file, mended.
    fn mended(root: &Path) -> Result<PathBuf, String> {
        let path = root.join("src").join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if text.matches(PLACE).count() != 1 {
            return Err(format!("{}: it is another one than is known; see build.rs", path.display()));
        }
        let into = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join(FILE);
        fs::write(&into, text.replace(PLACE, MENDED)).map_err(|error| format!("{}: {error}", into.display()))?;
        Ok(into)
    }

    /// With the settings that all of librdkafka was compiled with.
    fn compile(root: &Path, source: &Path) {
        let settings = fs::read_to_string(root.join("Makefile.config")).unwrap_or_default();
        let of_compiler = settings.lines().filter(|line| line.starts_with("CFLAGS") || line.starts_with("CPPFLAGS"));
        let mut build = cc::Build::new();
        build.file(source).include(root).include(root.join("src")).warnings(false).opt_level(2);
        for flag in
            of_compiler.flat_map(str::split_whitespace).filter(|flag| flag.starts_with("-I") || flag.starts_with("-D"))
        {
            build.flag(flag);
        }
        // As a whole: nothing asks for it before librdkafka, which comes later, does.
        build.link_lib_modifier("+whole-archive").compile("beacon_rdkafka_fetcher");
    }
}
