//! Mends faults of librdkafka that end a process, or leave a partition with two owners or none, until a release of it does.
//!
//! The files that have them are compiled a second time, with the lines put right, from the source that the crate `rdkafka-sys` has
//! brought and compiled. The linker takes what is asked for by name from here, and leaves the other files where they are
//! (decision 0081).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "kafka")]
    librdkafka::mend();
}

#[cfg(feature = "kafka")]
mod librdkafka {
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    /// Texts that are in a file once each, and what stands there instead.
    struct Mending {
        fault: &'static str,
        file: &'static str,
        places: &'static [(&'static str, &'static str)],
    }

    const MENDINGS: [Mending; 2] = [
        // Of an answer to a fetch that names no leader (-1) for some partitions, 2.6.1 to 2.12.1 (the newest there is a crate of) counts
        // these and does not write them down, and reads memory later that nobody wrote. A broker that has just come back answers so.
        // The place is where all partitions of a topic that have a leader are written down
        // (`src/log/kafka/raw/leaderless_tests.rs: an_answer_that_names_no_leader_for_some_partitions_harms_nobody`).
        Mending {
            fault: "a broker that comes back may end the process (librdkafka's issue 5280)",
            file: "rdkafka_fetcher.c",
            places: &[(
                "changed_topic++;",
                "md->topics[changed_topic].partition_cnt = changed_partition;
                        changed_topic++;",
            )],
        },
        // What an answer to a heartbeat under KIP-848 says of partitions is said again only to a heartbeat that says everything anew, and
        // one that was not answered in time is followed by a short one (`scenari/tests/harness/unheard.rs`, decision 0069).
        Mending {
            fault: "two members of a group may own one partition, or none, when a broker stands still or goes away; and a member that stood still \
                    may not get back into its group",
            file: "rdkafka_cgrp.c",
            places: &[
                // Where a heartbeat has failed. It is not sent again itself: the answer to a short one would count for the
                // one that is due. The very first one has no interval yet and says everything anyway.
                (
                    "rkcg->rkcg_last_heartbeat_err = err;
        rkcg->rkcg_flags &= ~RD_KAFKA_CGRP_F_HEARTBEAT_IN_TRANSIT;
",
                    "rkcg->rkcg_last_heartbeat_err = err;
        rkcg->rkcg_flags &= ~RD_KAFKA_CGRP_F_HEARTBEAT_IN_TRANSIT;

        if (rkcg->rkcg_heartbeat_intvl_ms > 0 &&
            (err == RD_KAFKA_RESP_ERR__TIMED_OUT || err == RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE)) {
                rkcg->rkcg_consumer_flags |= RD_KAFKA_CGRP_CONSUMER_F_SEND_FULL_REQUEST;
                return;
        }
",
                ),
                // What a heartbeat that says everything says the member has. What it was given and has not taken yet is among it, or
                // the group takes it for given up and gives it to somebody else, while this member goes on to take it.
                (
                    "rkcg_group_assignment = rkcg->rkcg_current_assignment;",
                    "rkcg_group_assignment =
                    rkcg->rkcg_join_state == RD_KAFKA_CGRP_JOIN_STATE_WAIT_ASSIGN_CALL && rkcg->rkcg_target_assignment
                        ? rkcg->rkcg_target_assignment
                        : rkcg->rkcg_current_assignment;",
                ),
                // Where the group has answered that the member has left (librdkafka's issue 5541). One that left because it was not
                // polled in time is to join again, and forgets it here if it has not come to that yet, as when there were partitions
                // it had not taken. What it sends next is no beginning, the group refuses it, and that is fatal
                // (`tests/kafka/untaken.rs`).
                (
                    "rd_kafka_cgrp_consumer_reset(rkcg);

        if (ErrorCode != RD_KAFKA_RESP_ERR__DESTROY) {",
                    "int joins_again = rkcg->rkcg_consumer_flags & RD_KAFKA_CGRP_CONSUMER_F_WAIT_REJOIN;
        rd_kafka_cgrp_consumer_reset(rkcg);
        rkcg->rkcg_consumer_flags |= joins_again;

        if (ErrorCode != RD_KAFKA_RESP_ERR__DESTROY) {",
                ),
            ],
        },
    ];

    /// What could not be mended is also told to the library, which says so at run time: cargo shows a build's warnings for packages of
    /// one's own only.
    pub fn mend() {
        let (mut sources, mut faults) = (Vec::new(), Vec::new());
        // Not there where librdkafka is not compiled by its own Makefile: the system's, or by CMake.
        let root = env::var_os("DEP_RDKAFKA_ROOT").map(PathBuf::from);
        for mending in &MENDINGS {
            let mended = root.as_deref().ok_or_else(|| "it is not compiled from source by its Makefile".to_owned());
            match mended.and_then(|root| mending.apply(root)) {
                Ok(source) => sources.push(source),
                Err(reason) => {
                    println!("cargo:warning=librdkafka is linked as it is: {}: {reason}", mending.fault);
                    faults.push(mending.fault);
                }
            }
        }
        println!("cargo:rustc-env=BEACON_LIBRDKAFKA_FAULTS={}", faults.join("; "));
        if let Some(root) = root.filter(|_| !sources.is_empty()) {
            compile(&root, &sources);
        }
    }

    impl Mending {
        /// The file, mended.
        fn apply(&self, root: &Path) -> Result<PathBuf, String> {
            let path = root.join("src").join(self.file);
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let mut mended = text.clone();
            for (place, instead) in self.places {
                if text.matches(place).count() != 1 {
                    return Err(format!("{}: it is another one than is known; see build.rs", path.display()));
                }
                mended = mended.replace(place, instead);
            }
            let into = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join(self.file);
            fs::write(&into, mended).map_err(|error| format!("{}: {error}", into.display()))?;
            Ok(into)
        }
    }

    /// With the settings that all of librdkafka was compiled with.
    fn compile(root: &Path, sources: &[PathBuf]) {
        let settings = fs::read_to_string(root.join("Makefile.config")).unwrap_or_default();
        let of_compiler = settings.lines().filter(|line| line.starts_with("CFLAGS") || line.starts_with("CPPFLAGS"));
        let mut build = cc::Build::new();
        build.files(sources).include(root).include(root.join("src")).warnings(false).opt_level(2);
        for flag in
            of_compiler.flat_map(str::split_whitespace).filter(|flag| flag.starts_with("-I") || flag.starts_with("-D"))
        {
            build.flag(flag);
        }
        // As a whole: nothing asks for it before librdkafka, which comes later, does.
        build.link_lib_modifier("+whole-archive").compile("beacon_librdkafka_mended");
    }
}
