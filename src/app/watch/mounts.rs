//! Files that are mount points themselves: their replacement outside never shows in this mount.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Which of `files` are mount points themselves: a `subPath` of Kubernetes, a single file that Docker binds. None if the system
/// does not list mounts.
pub(super) fn mounted(files: &BTreeSet<PathBuf>) -> Vec<&Path> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points: BTreeSet<PathBuf> = points(&table).collect();
    let is_mounted = |file: &&Path| {
        let real = std::fs::canonicalize(file);
        real.is_ok_and(|real| points.contains(&real))
    };
    files
        .iter()
        .map(PathBuf::as_path)
        .filter(is_mounted)
        .collect()
}

/// The fifth field of each line is where something is mounted (proc_pid_mountinfo(5)).
fn points(table: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    let lines = table.split(|byte| *byte == b'\n');
    let fields = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    fields.map(|field| PathBuf::from(OsString::from_vec(plain(field))))
}

/// Blanks, line ends and backslashes are written as `\` and three octal digits.
fn plain(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let code = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let code = code.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        text.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_from_the_table_of_mounts_whatever_they_are_called() {
        let table = b"\
            22 1 0:21 / / rw shared:1 - overlay overlay rw\n\
            63 43 254:0 /pods/x/sub /etc/app/sidefuse.yaml rw,relatime - ext4 /dev/vda rw\n\
            64 43 254:0 /y /etc/two\\040words\\134 rw - ext4 /dev/vda rw\n\
            65 43 254:0 /z /etc/\\9 rw - ext4 /dev/vda rw\n\
            short\n";
        let all: Vec<PathBuf> = points(table).collect();
        let expected = [
            "/",
            "/etc/app/sidefuse.yaml",
            "/etc/two words\\",
            "/etc/\\9",
        ];
        assert_eq!(all, expected.map(PathBuf::from));
    }

    #[test]
    fn an_ordinary_file_is_no_mount_and_one_of_the_system_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let both = BTreeSet::from([file.path().to_owned(), "/proc".into(), "/nowhere".into()]);
        assert_eq!(mounted(&both), [Path::new("/proc")]);
    }
}
