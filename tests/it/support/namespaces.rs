//! A process in a world of its own, where the limits and the mounts are ours to set.

use std::path::Path;
use std::process::Command;

/// The same command after `script`, by a shell that is the superuser of its own namespaces of users and mounts. `None` where the system
/// lets nobody have some, which is then said on standard error.
pub(crate) fn in_namespaces(script: &str, command: &Command) -> Option<Command> {
    let limit = "cat /proc/sys/user/max_inotify_watches > /proc/sys/user/max_inotify_watches";
    let probe = format!("{limit}; mount -t tmpfs none /mnt");
    let failure = match wrapped(&probe, &Command::new("true")).output() {
        Ok(output) if output.status.success() => return Some(wrapped(script, command)),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("no namespaces on this system, so nothing is tested: {failure}");
    None
}

/// The same command without the superuser's right to read what is forbidden to all; as it is where nobody has that right to give away.
pub(crate) fn bound_by_permissions(command: Command) -> Command {
    let bound = |command: &Command| {
        let mut wrapper = Command::new("setpriv");
        wrapper.args(["--bounding-set", "-dac_override,-dac_read_search"]);
        around(wrapper, command)
    };
    match bound(&Command::new("true")).output() {
        Ok(output) if output.status.success() => bound(&command),
        Ok(_) | Err(_) => command,
    }
}

fn wrapped(script: &str, command: &Command) -> Command {
    let mut wrapper = Command::new("unshare");
    wrapper.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    wrapper.arg(format!("set -e; {script}\nexec \"$0\" \"$@\""));
    around(wrapper, command)
}

/// The command as the last arguments of `wrapper`.
fn around(mut wrapper: Command, command: &Command) -> Command {
    wrapper.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    wrapper
}

/// A path as the shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
