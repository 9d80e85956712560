//! What the kernel knows about this process, under the names that every Prometheus client uses.
//!
//! Without `/proc` the families are shown without series.

use std::fs;

use super::exposition::Exposition;
use super::names::{self, Family};

/// Ticks per second of the times in `/proc`: fixed to 100 by the kernel's interface to user space.
const TICKS: f64 = 100.0;

/// What was found; what could not be read is `None`.
#[derive(Debug, Default, PartialEq)]
struct Process {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    threads: Option<u64>,
    start_seconds: Option<f64>,
}

/// Adds the `process_*` families.
pub(super) fn write(text: &mut Exposition) {
    let process = Process::read();
    float(text, &names::PROCESS_CPU, process.cpu_seconds);
    integer(text, &names::PROCESS_RESIDENT, process.resident_bytes);
    integer(text, &names::PROCESS_VIRTUAL, process.virtual_bytes);
    integer(text, &names::PROCESS_OPEN_FDS, process.open_fds);
    integer(text, &names::PROCESS_MAX_FDS, process.max_fds);
    integer(text, &names::PROCESS_THREADS, process.threads);
    float(text, &names::PROCESS_START, process.start_seconds);
}

fn integer(text: &mut Exposition, family: &'static Family, value: Option<u64>) {
    let mut series = text.family(family);
    if let Some(value) = value {
        series.integer(&[], value);
    }
}

fn float(text: &mut Exposition, family: &'static Family, value: Option<f64>) {
    let mut series = text.family(family);
    if let Some(value) = value {
        series.float(&[], value);
    }
}

impl Process {
    fn read() -> Self {
        let file = |path| fs::read_to_string(path).unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok();
        Self {
            // The listing holds one descriptor itself.
            open_fds: open_fds.map(|entries| (entries.count() as u64).saturating_sub(1)),
            ..Self::parse(
                &file("/proc/self/stat"),
                &file("/proc/self/status"),
                &file("/proc/self/limits"),
                &file("/proc/stat"),
            )
        }
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The second field is the command in parentheses and may hold anything, so counting begins after the last one.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| {
            rest.split_ascii_whitespace().collect()
        });
        let ticks = |place: usize| {
            fields
                .get(place)
                .and_then(|field| field.parse::<f64>().ok())
        };
        let kibibytes = |key| number_after(status, key).map(|number| number * 1024);
        let booted = number_after(system, "btime");
        Self {
            cpu_seconds: ticks(11)
                .zip(ticks(12))
                .map(|(user, system)| (user + system) / TICKS),
            resident_bytes: kibibytes("VmRSS:"),
            virtual_bytes: kibibytes("VmSize:"),
            open_fds: None,
            max_fds: number_after(limits, "Max open files"),
            threads: number_after(status, "Threads:"),
            start_seconds: booted
                .zip(ticks(19))
                .map(|(booted, since)| booted as f64 + since / TICKS),
        }
    }
}

/// The first number of the line that begins with `key`.
fn number_after(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read_even_with_a_hostile_command_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 12345 1000 200";
        let process = Process::parse(
            stat,
            "Name:\ta\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n",
            "Limit   Soft   Hard\nMax open files            1024                 4096                 files\n",
            "cpu 1 2\nbtime 1700000000\n",
        );
        let expected = Process {
            cpu_seconds: Some(2.0),
            resident_bytes: Some(1024 * 1024),
            virtual_bytes: Some(2048 * 1024),
            open_fds: None,
            max_fds: Some(1024),
            threads: Some(3),
            start_seconds: Some(1_700_000_123.45),
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(Process::parse("", "", "", ""), Process::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_process_is_found() {
        let process = Process::read();
        assert!(
            process
                .resident_bytes
                .is_some_and(|bytes| bytes > 1024 * 1024)
        );
        assert!(process.threads.is_some_and(|threads| threads >= 1));
        assert!(process.open_fds.is_some_and(|open| open >= 3));
        assert!(
            process
                .start_seconds
                .is_some_and(|start| start > 1_500_000_000.0)
        );
    }
}
