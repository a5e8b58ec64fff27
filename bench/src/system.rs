//! What processes cost, read from `/proc` (proc(5)), and when they have come to rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Ticks per second of the times in `/proc/PID/stat`. The kernel's internal rate differs, but what it tells programs
/// (USER_HZ) is 100 on every architecture we build for.
const TICKS: f64 = 100.0;

/// User and system time of these processes since each was started, in seconds; their threads are included, children not.
///
/// # Errors
/// One of them is gone.
pub fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    pids.iter().map(|pid| cpu_of(*pid)).sum()
}

fn cpu_of(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("{path}: has the process ended?"))?;
    ticks(&stat).map(|ticks| ticks / TICKS).with_context(|| format!("{path} is not as proc(5) says: {stat}"))
}

/// Fields 14 and 15. Field 2, the name in parentheses, may itself hold blanks and parentheses.
fn ticks(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11).map(str::parse::<f64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The most since its start.
    pub peak: u64,
}

/// Resident memory of these processes together. The sum of peaks is an upper bound of the peak of the sum.
///
/// # Errors
/// One of them is gone.
pub fn memory(pids: &[u32]) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in pids {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("{path}: has the process ended?"))?;
        let bytes = |name| kilobytes(&status, name).map(|kb| kb * 1024).with_context(|| format!("{path}: no {name}"));
        sum.resident += bytes("VmRSS:")?;
        sum.peak += bytes("VmHWM:")?;
    }
    Ok(sum)
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Waits until these processes do next to nothing: under 12 % of a core for a second and a half. (What they do at rest
/// is measured by [`at_rest`].)
///
/// # Errors
/// They are still busy after three minutes, or one is gone.
pub fn settle(pids: &[u32]) -> Result<()> {
    const STEP: Duration = Duration::from_millis(500);
    const AT_REST: f64 = 0.06;
    let started = Instant::now();
    let (mut before, mut calm) = (cpu_seconds(pids)?, 0);
    while calm < 3 {
        if started.elapsed() > Duration::from_secs(180) {
            bail!("still busy three minutes after the load ended: {}", busiest_threads(pids, STEP));
        }
        sleep(STEP);
        let now = cpu_seconds(pids)?;
        calm = if now - before <= AT_REST { calm + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

/// What part of a core these processes use with nothing to do; takes four seconds.
///
/// # Errors
/// One of them is gone.
pub fn at_rest(pids: &[u32]) -> Result<f64> {
    let (before, started) = (cpu_seconds(pids)?, Instant::now());
    sleep(Duration::from_secs(4));
    Ok((cpu_seconds(pids)? - before) / started.elapsed().as_secs_f64())
}

/// Which threads use how much of a core, for a message.
fn busiest_threads(pids: &[u32], during: Duration) -> String {
    let before = threads(pids);
    sleep(during);
    let used = |(path, (name, now)): (PathBuf, (String, f64))| {
        let share = (now - before.get(&path)?.1) / TICKS / during.as_secs_f64();
        (share > 0.01).then(|| format!("{} {name} {:.0} %", path.display(), share * 100.0))
    };
    threads(pids).into_iter().filter_map(used).collect::<Vec<_>>().join(", ")
}

/// Name and ticks of each thread, by its directory in `/proc`.
fn threads(pids: &[u32]) -> BTreeMap<PathBuf, (String, f64)> {
    let directories = pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
    let all = directories.flatten().flatten().map(|entry| entry.path());
    // A thread that ends meanwhile is not the busy one.
    let read = |path: PathBuf| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        let name = fs::read_to_string(path.join("comm")).ok()?.trim().to_owned();
        Some((path, (name, ticks(&stat)?)))
    };
    all.filter_map(read).collect()
}

/// The process that listens on a TCP port of this machine, if it may be looked into.
pub fn listener(port: u16) -> Option<u32> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    processes().find(|pid| open_files(*pid).any(|file| sockets.iter().any(|socket| Path::new(socket) == file)))
}

fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 9 && row[1].ends_with(&wanted) && row[3] == LISTEN)
        .map(|row| row[9].to_owned())
        .collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What a process has open; nothing for one that is not ours to look into.
pub fn open_files(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_blanks_and_parentheses() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 6 7 20 0 1 0 8 9 10";
        assert_eq!(ticks(stat), Some(200.0));
    }

    #[test]
    fn our_own_time_and_memory_can_be_read() {
        let pid = std::process::id();
        assert!(cpu_seconds(&[pid]).expect("we run") >= 0.0);
        let memory = memory(&[pid]).expect("we run");
        assert!(memory.resident > 0 && memory.peak >= memory.resident, "{memory:?}");
    }

    #[test]
    fn who_listens_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        assert_eq!(listener(port), Some(std::process::id()));
        drop(socket);
        assert_eq!(listener(port), None);
    }
}
