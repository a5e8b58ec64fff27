//! How much memory this process may use: the tightest limit of its control groups, else what the machine has.
//!
//! Version 2 has one group per process and `memory.max` on each level; version 1 has a hierarchy of its own for memory and
//! `memory.limit_in_bytes`. In a container the group's own directory is often mounted at the root, so a group that is
//! not found by its path is looked for there. Sources: the kernel's admin-guide, cgroup-v2.rst and
//! cgroup-v1/memory.rst; proc_pid_cgroup(5).

use std::path::{Path, PathBuf};

/// Version 1 says "no limit" with a number near 2^63, rounded to pages.
const NO_LIMIT: u64 = 1 << 60;

/// The limit on this process, in bytes. `None`: nothing can be told.
pub(crate) fn memory_limit() -> Option<u64> {
    of_process(Path::new("/"))
}

/// Reads what there is under `root`, which is `/` but in tests.
fn of_process(root: &Path) -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(root.join(path.strip_prefix("/").unwrap_or(path))).ok();
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|path| read(&path)).filter_map(|text| bytes(&text));
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| machine_bytes(&text));
    limits.chain(machine).min()
}

/// Files that may hold a limit, given `/proc/self/cgroup`: of the group itself, all groups above it, and the root.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (mount, file) = if number == "0" && controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        // A path with `..` shows a group outside of the namespace; nothing there can be read.
        let group = group.strip_prefix('/').filter(|group| !group.contains("..")).unwrap_or_default();
        files.extend(Path::new(group).ancestors().map(|above| Path::new(mount).join(above).join(file)));
    }
    files
}

/// A limit file's number; `None` for "no limit".
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT)
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of 16 GiB with these files.
    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().expect("a directory");
        let memory = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        1 kB\n");
        for (path, text) in files.iter().chain([&memory]) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        of_process(root.path())
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn version_2_takes_the_tightest_of_all_levels() {
        let found = machine(&[
            ("proc/self/cgroup", "0::/kubepods/pod7/main\n"),
            ("sys/fs/cgroup/kubepods/memory.max", "8589934592\n"),
            ("sys/fs/cgroup/kubepods/pod7/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/kubepods/pod7/main/memory.max", "max\n"),
        ]);
        assert_eq!(found, Some(GIB));
    }

    #[test]
    fn in_a_container_the_group_is_at_the_root() {
        for groups in ["0::/\n", "0::/../../outside\n", "0::/docker/0123\n"] {
            let found = machine(&[("proc/self/cgroup", groups), ("sys/fs/cgroup/memory.max", "268435456\n")]);
            assert_eq!(found, Some(GIB / 4), "{groups}");
        }
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory() {
        let groups = "12:cpu,cpuacct:/a\n7:memory:/docker/0123\n1:name=systemd:/b\n";
        let limited = machine(&[
            ("proc/self/cgroup", groups),
            ("sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(limited, Some(GIB / 2));
        let free = machine(&[
            ("proc/self/cgroup", groups),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(free, Some(16 * GIB));
    }

    #[test]
    fn without_a_limit_it_is_what_the_machine_has() {
        assert_eq!(machine(&[("proc/self/cgroup", "0::/user.slice\n")]), Some(16 * GIB));
        assert_eq!(machine(&[]), Some(16 * GIB));
        assert_eq!(of_process(Path::new("/nowhere")), None);
    }
}
