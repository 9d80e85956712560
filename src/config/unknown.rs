//! Unknown keys, and what was probably meant.

use super::excerpt::show;
use super::fields::SPACE;
use super::keys::{FILE, ROUTE, Section, called_anywhere, called_here, home, trusts_all};
use super::problem::{Code, Problem};
use super::suggest::nearest;
use super::tree::{Entry, Node};

/// The problem of a key that is not one of `section`, in whose mapping it stands.
pub(crate) fn unknown(Entry { key, node }: &Entry, section: &Section) -> Problem {
    if section.later.contains(&key.text.as_str()) {
        let message = format!("`{}` is not supported yet", key.text);
        return Problem::error(Code::NotSupported, key.span, message)
            .hint("remove it: this version would ignore it");
    }
    let message = format!("unknown key `{}`", show(&key.text));
    let mut problem = Problem::error(Code::UnknownKey, key.span, message);
    if let Some(hint) = meant(&key.text, node, section) {
        problem = problem.hint(hint);
    }
    let allowed: Vec<_> = section.names().collect();
    if !allowed.is_empty() {
        problem = problem.help(format!("allowed here: {}", allowed.join(", ")));
    }
    problem
}

fn meant(name: &str, node: &Node, section: &Section) -> Option<String> {
    if trusts_all(name) {
        let hint = "certificates are always checked: name the one that signed the upstream's in `upstream.tls.ca_file`";
        return Some(hint.to_owned());
    }
    if let Some(path) = called_here(name, section) {
        return Some(format!("it is called `{path}` here"));
    }
    let before_colon = name.split_once(':').map(|(key, _)| key);
    if before_colon.is_some_and(|key| section.key(key).is_some()) {
        return Some(SPACE.to_owned());
    }
    if let Some(meant) = nearest(name, section.names()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    if let Some(home) = home(name) {
        return Some(format!("`{name}` belongs under `{home}`"));
    }
    if let Some(place) = elsewhere(name, node, section) {
        return Some(place);
    }
    if let Some(path) = called_anywhere(name) {
        return Some(format!("it is called `{path}`"));
    }
    if name == "<<" {
        return Some("share settings with `defaults` or with `presets` and `extends`".to_owned());
    }
    name.contains(':').then(|| SPACE.to_owned())
}

/// The place where a key belongs that is not one of `section`: the file, a route, or the edits of a header.
fn elsewhere(name: &str, node: &Node, section: &Section) -> Option<String> {
    let has = |key| section.key(key).is_some();
    if has("routes") {
        // A route that is not indented, or a setting of one.
        return if node.entry("upstream").is_some() {
            Some("indent it by two spaces, so that it stands under `routes`".to_owned())
        } else {
            ROUTE.key(name).map(|_| {
                format!("`{name}` belongs to a route, or under `defaults` for all of them")
            })
        };
    }
    if FILE.key(name).is_some() {
        return Some(format!(
            "`{name}` belongs at the top of the file, not indented"
        ));
    }
    if has("set") && has("remove") {
        return Some("fields are written under `set`".to_owned());
    }
    (has("request") && has("response")).then(|| "fields are written under `request.set`".to_owned())
}
