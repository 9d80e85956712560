//! The routes whose upstream has a given host.

/// The routes whose upstream has one host, sorted by port, then base path, for binary search: most hosts have one route, and a
/// map for each would take more memory than all the rest.
#[derive(Debug, Default)]
pub(super) struct Owners {
    entries: Vec<Entry>,
    /// The length of the longest base path: longer prefixes of a request's path need no lookup.
    longest: usize,
}

#[derive(Debug)]
struct Entry {
    /// `None` if no port is written.
    port: Option<u16>,
    /// `None` if there is none. Not an empty text, whose dangling address makes the comparison slow on some processors.
    base_path: Option<Box<str>>,
    /// The places of the routes, in order.
    routes: Vec<usize>,
}

impl Owners {
    /// Adds a route; all of them before [`Owners::sort`]. A host without a port means the scheme's default port (RFC 9110
    /// §4.2); since we originate TLS, either of the two. An alias (`also_hosts`) is written and found without a port.
    pub(super) fn add(&mut self, route: usize, port: u16, base_path: &str, is_alias: bool) {
        let without = (is_alias || [80, 443].contains(&port)).then_some(None);
        for port in [Some(Some(port)), without].into_iter().flatten() {
            self.entries.push(Entry {
                port,
                base_path: written(base_path).map(Into::into),
                routes: vec![route],
            });
        }
        self.longest = self.longest.max(base_path.len());
    }

    /// Sorts the routes.
    pub(super) fn sort(&mut self) {
        self.entries
            .sort_by(|one, other| one.place().cmp(&other.place()));
        self.entries.dedup_by(|next, kept| {
            let is_same = next.place() == kept.place();
            if is_same {
                kept.routes.append(&mut next.routes);
            }
            is_same
        });
        self.entries.shrink_to_fit();
    }

    /// The routes with that port and the longest base path above `path`, by their places in order.
    pub(super) fn find(&self, port: Option<u16>, path: &str) -> &[usize] {
        let mut found = self.bases(path).filter_map(|base| {
            let place = |entry: &Entry| entry.place().cmp(&(port, base));
            let at = self.entries.binary_search_by(place).ok()?;
            self.entries.get(at).map(|entry| &*entry.routes)
        });
        found.next().unwrap_or(&[])
    }

    /// The routes with that port, whatever their base paths, and how many of them are without one: these come first.
    pub(super) fn at_port(&self, port: u16) -> (Vec<usize>, usize) {
        let of_port = self.entries.iter().filter(|it| it.port == Some(port));
        let without = of_port.clone().filter(|it| it.base_path.is_none());
        let without = without.map(|it| it.routes.len()).sum();
        (
            of_port.flat_map(|it| &it.routes).copied().collect(),
            without,
        )
    }

    /// All possible base paths of `path` in whole segments, the longest first and none last.
    fn bases<'a>(&self, path: &'a str) -> impl Iterator<Item = Option<&'a str>> {
        let whole = (path.len() <= self.longest).then_some(path);
        let reach = path.len().min(self.longest + 1);
        let ends = (0..reach).rev().filter(|end| path.as_bytes()[*end] == b'/');
        whole
            .into_iter()
            .chain(ends.filter_map(|end| path.get(..end)))
            .map(written)
    }
}

impl Entry {
    fn place(&self) -> (Option<u16>, Option<&str>) {
        (self.port, self.base_path.as_deref())
    }
}

/// The base path, if one is written.
fn written(base_path: &str) -> Option<&str> {
    Some(base_path).filter(|base_path| !base_path.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::router::is_under;
    use super::*;

    #[derive(Clone, Debug)]
    struct Owner {
        port: u16,
        base_path: &'static str,
        is_alias: bool,
    }

    fn owner() -> impl Strategy<Value = Owner> {
        let port = prop::sample::select(vec![80, 443, 8080]);
        let base_path = prop::sample::select(vec!["", "/a", "/a/b", "/ab", "/a/b/c", "/é"]);
        (port, base_path, any::<bool>()).prop_map(|(port, base_path, is_alias)| Owner {
            port,
            base_path,
            is_alias,
        })
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_walk_over_all_owners_finds(
            owners in proptest::collection::vec(owner(), 0..12),
            port in prop::sample::select(vec![None, Some(80), Some(443), Some(8080), Some(81)]),
            path in prop::sample::select(vec!["", "/", "/a", "/a/", "/a/b", "/a/bc", "/a/b/c/d", "/ab", "/é/x", "/éa", "*"]),
        ) {
            let mut index = Owners::default();
            for (route, owner) in owners.iter().enumerate() {
                index.add(route, owner.port, owner.base_path, owner.is_alias);
            }
            index.sort();
            let fits = |owner: &Owner| {
                let has_port = match port {
                    Some(port) => owner.port == port,
                    None => owner.is_alias || owner.port == 80 || owner.port == 443,
                };
                has_port && is_under(path, owner.base_path)
            };
            let longest = owners.iter().filter(|owner| fits(owner)).map(|owner| owner.base_path.len()).max();
            let walked: Vec<usize> = owners
                .iter()
                .enumerate()
                .filter(|(_, owner)| fits(owner) && Some(owner.base_path.len()) == longest)
                .map(|(route, _)| route)
                .collect();
            prop_assert_eq!(index.find(port, path), walked);
        }
    }
}
