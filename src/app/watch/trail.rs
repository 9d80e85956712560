//! The names under which a file can change.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// So many links the system follows itself (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Every link on the way to a file, and at the end the file itself, each as events name it: absolute, in a directory that no link leads
/// to. Whatever is missing ends the way.
pub(super) fn trail(file: &Path) -> Vec<PathBuf> {
    let mut trail = Vec::new();
    let mut real = PathBuf::new();
    // Without a working directory a relative path leads nowhere.
    let mut rest = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    loop {
        let mut parts = rest.components();
        let Some(part) = parts.next() else { break };
        let after = parts.as_path();
        match part {
            Component::ParentDir => {
                real.pop();
            }
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::Normal(_) => {
                real.push(part);
            }
        }
        let target = fs::read_link(&real).ok();
        rest = match target.filter(|_| trail.len() < MOST_LINKS) {
            Some(target) => {
                trail.push(real.clone());
                real.pop();
                target.join(after)
            }
            None => after.to_owned(),
        };
    }
    trail.push(real);
    trail
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The trail of `file` in a directory that holds these links, as it is from that directory on.
    fn of(file: &str, links: &[(&str, &str)]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        for (name, target) in links {
            symlink(target, top.join(name)).unwrap();
        }
        let trail = trail(&top.join(file)).into_iter();
        let below = trail.map(|path| path.strip_prefix(&top).unwrap().display().to_string());
        below.collect()
    }

    #[test]
    fn a_file_that_no_link_leads_to_has_its_own_name_only() {
        assert_eq!(of("f.yaml", &[]), ["f.yaml"]);
        assert_eq!(of("a/../a/./b/f.yaml", &[]), ["a/b/f.yaml"]);
        assert_eq!(of("gone/f.yaml", &[]), ["gone/f.yaml"]);
    }

    #[test]
    fn a_relative_file_is_told_of_from_the_root_on() {
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(trail(Path::new("f.yaml")), [here.join("f.yaml")]);
        assert_eq!(trail(Path::new("./x/f.yaml")), [here.join("x/f.yaml")]);
        assert_eq!(trail(Path::new("/f.yaml")), [Path::new("/f.yaml")]);
    }

    #[test]
    fn each_link_is_a_name_in_its_real_directory_and_the_file_behind_them_the_last() {
        let link = [("f.yaml", "a/r.yaml"), ("a/r.yaml", "../a/b/s.yaml")];
        assert_eq!(of("f.yaml", &link), ["f.yaml", "a/r.yaml", "a/b/s.yaml"]);
        // As Kubernetes mounts a ConfigMap.
        let map = [("..data", "a"), ("f.yaml", "..data/f.yaml")];
        assert_eq!(of("f.yaml", &map), ["f.yaml", "..data", "a/f.yaml"]);
        let elsewhere = [("etc", "a/b")];
        assert_eq!(of("etc/f.yaml", &elsewhere), ["etc", "a/b/f.yaml"]);
        let dangling = [("f.yaml", "nowhere/f.yaml")];
        assert_eq!(of("f.yaml", &dangling), ["f.yaml", "nowhere/f.yaml"]);
    }

    #[test]
    fn links_that_lead_in_a_circle_come_to_an_end() {
        let trail = of("f.yaml", &[("f.yaml", "g.yaml"), ("g.yaml", "f.yaml")]);
        assert_eq!(trail.len(), MOST_LINKS + 1);
    }
}
