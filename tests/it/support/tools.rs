//! Programs that are not ours and that tests compare us with.

use std::env;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of the machine, or one that `tests/run` put into `target/tools`. The test fails when it is absent.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let ours = repository().join("target/tools/usr/bin");
    let found = env::split_paths(&path)
        .chain([ours])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is absent; run tests/run once, it installs {name}"))
}

/// The Python whose packages `tests/run` installed.
pub(crate) fn python() -> PathBuf {
    let python = repository().join(".venv/bin/python");
    assert!(
        python.is_file(),
        ".venv is absent; run tests/run once, it installs the Python packages"
    );
    python
}

mod tests {
    use super::*;

    #[test]
    fn what_the_tests_need_is_here() {
        for name in ["curl", "openssl", "promtool"] {
            assert!(tool(name).is_absolute(), "{name}");
        }
    }

    #[test]
    fn a_python_has_the_packages() {
        let mut command = std::process::Command::new(python());
        let status = command
            .args(["-c", "import h2, httpx, jsonschema, websockets, yaml"])
            .status();
        assert!(status.unwrap().success());
    }

    #[test]
    #[should_panic(expected = "run tests/run once, it installs no-such-tool")]
    fn an_absent_tool_says_who_installs_it() {
        tool("no-such-tool");
    }
}
