//! Rust source as the architecture rules see it: code apart from comments and strings, the product apart from its tests.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, iter};

use super::tools::repository;

/// One file. All views have the same length, so a position in one is a position in all.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// From the repository's top, with `/`.
    pub(crate) path: String,
    /// As it was written.
    pub(crate) text: String,
    /// With blanks in place of what strings say.
    pub(crate) prose: String,
    /// With blanks in place of comments as well.
    pub(crate) code: String,
    /// `code` with blanks in place of everything that only tests have.
    pub(crate) product: String,
    /// Where that is.
    tested: Vec<Range<usize>>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let marks = marks(text);
        let view = |hidden: &[Mark]| -> String {
            let keep = |(byte, mark): (u8, &Mark)| match byte {
                b'\n' => byte,
                _ if hidden.contains(mark) => b' ',
                _ => byte,
            };
            let bytes = text.bytes().zip(&marks).map(keep).collect();
            String::from_utf8(bytes).expect("whole characters are hidden")
        };
        let prose = view(&[Mark::String]);
        let code = view(&[Mark::String, Mark::Comment]);
        let tested = if is_test_file(path) {
            iter::once(0..code.len()).collect()
        } else {
            of_tests(&code)
        };
        let product = tested
            .iter()
            .cloned()
            .fold(code.clone(), |text, range| blank(&text, range));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            prose,
            code,
            product,
            tested,
        }
    }

    /// Every Rust file below a folder of the repository, in the order of their paths.
    pub(crate) fn all_below(folder: &str) -> Vec<Self> {
        let mut files = Vec::new();
        collect(&repository().join(folder), &mut files);
        files.sort();
        let read = |file: &PathBuf| {
            let path = file.strip_prefix(repository()).unwrap().to_str().unwrap();
            Self::new(path, &fs::read_to_string(file).unwrap())
        };
        files.iter().map(read).collect()
    }

    /// `path:line` of a position.
    pub(crate) fn place(&self, position: usize) -> String {
        let line = self.text[..position].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }

    /// How many lines it has that are not only there for tests.
    pub(crate) fn product_lines(&self) -> usize {
        let mut begin = 0;
        let is_product = |line: &&str| {
            let first = begin + line.len() - line.trim_start_matches(' ').len();
            begin += line.len();
            !self.tested.iter().any(|range| range.contains(&first))
        };
        self.text.split_inclusive('\n').filter(is_product).count()
    }

    /// The names of the modules around its items: `["net", "tcp"]` for `src/net/tcp.rs`, none for the root.
    pub(crate) fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if path == "lib" {
            Vec::new()
        } else {
            path.split('/').collect()
        }
    }
}

/// The names in a view with their positions; `super`, `crate` and keywords are names too.
pub(crate) fn names(view: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    iter::from_fn(move || {
        let start = rest + view[rest..].find(is_name_char)?;
        let end = view[start..]
            .find(|char| !is_name_char(char))
            .map_or(view.len(), |length| start + length);
        rest = end;
        Some((start, &view[start..end]))
    })
}

pub(crate) fn is_name_char(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Code,
    Comment,
    String,
}

/// What each byte belongs to; the quotes of a string are code, what is between them is not.
fn marks(text: &str) -> Vec<Mark> {
    let mut marks = vec![Mark::Code; text.len()];
    let mut position = 0;
    while position < text.len() {
        let rest = &text[position..];
        // Most characters begin nothing; this spares what follows for them.
        if !rest.starts_with(['/', '"', '\'', 'b', 'c', 'r']) {
            position += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let (mark, range) = if rest.starts_with("//") {
            (Mark::Comment, 0..rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Mark::Comment, 0..block_comment(rest))
        } else if let Some(inside) = raw_string(&text[..position], rest)
            .or_else(|| plain_string(rest))
            .or_else(|| char_literal(rest))
        {
            (Mark::String, inside)
        } else {
            position += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        marks[position + range.start..position + range.end].fill(mark);
        // The closing quote is stepped over with its string, or it would open the next one.
        let closing = if mark == Mark::String {
            closing_length(&rest[range.end..])
        } else {
            0
        };
        position += range.end + closing;
    }
    marks
}

fn closing_length(rest: &str) -> usize {
    let hashes = rest.chars().skip(1).take_while(|char| *char == '#').count();
    rest.len().min(1 + hashes)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut position) = (0, 0);
    while position < rest.len() {
        match rest.as_bytes().get(position..position + 2) {
            Some(b"/*") => (depth, position) = (depth + 1, position + 2),
            Some(b"*/") => (depth, position) = (depth - 1, position + 2),
            _ => position += 1,
        }
        if depth == 0 {
            break;
        }
    }
    position.min(rest.len())
}

fn raw_string(before: &str, rest: &str) -> Option<Range<usize>> {
    let letters = ["br", "cr", "r"]
        .into_iter()
        .find(|letters| rest.starts_with(letters))?;
    let hashes = rest[letters.len()..]
        .chars()
        .take_while(|char| *char == '#')
        .count();
    let start = letters.len() + hashes + 1;
    if before.ends_with(is_name_char) || rest.as_bytes().get(start - 1) != Some(&b'"') {
        return None;
    }
    let end = rest[start..].find(&format!("\"{}", "#".repeat(hashes)))?;
    Some(start..start + end)
}

fn plain_string(rest: &str) -> Option<Range<usize>> {
    let mut chars = rest.strip_prefix('"')?.char_indices();
    while let Some((position, char)) = chars.next() {
        match char {
            '"' => return Some(1..1 + position),
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    Some(1..rest.len())
}

/// A quote that is not the beginning of a lifetime.
fn char_literal(rest: &str) -> Option<Range<usize>> {
    let inside = rest.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    let length = if first == '\\' {
        2 + inside.get(2..)?.find('\'')?
    } else {
        first.len_utf8()
    };
    inside
        .get(length..)?
        .starts_with('\'')
        .then_some(1..1 + length)
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/")
        || path
            .split('/')
            .any(|part| matches!(part, "tests" | "tests.rs"))
}

/// Every item behind `#[cfg(test)]`: to the end of its block, or to its semicolon.
fn of_tests(code: &str) -> Vec<Range<usize>> {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut found = Vec::new();
    let mut begin = 0;
    while let Some(start) = code[begin..].find(ATTRIBUTE) {
        let start = begin + start;
        let behind = start + ATTRIBUTE.len();
        let mut depth = 0;
        let ends = |(_, char): &(usize, char)| {
            match char {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0 && matches!(char, '}' | ';')
        };
        let end = code[behind..].char_indices().find(ends);
        begin = end.map_or(code.len(), |(length, _)| behind + length + 1);
        found.push(start..begin);
    }
    found
}

fn blank(text: &str, range: Range<usize>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let kept = |byte: &&mut u8| **byte != b'\n';
    bytes[range]
        .iter_mut()
        .filter(kept)
        .for_each(|byte| *byte = b' ');
    String::from_utf8(bytes).expect("a range of whole characters")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_told_from_code() {
        let text = "a(\"x // \\\" y\"); // c \"d\"\nb<'e>(r#\"f \" g\"#, '\"', '\\'', b'h'); /* i /* j */ k */ l";
        let source = Source::new("src/x.rs", text);
        let found: Vec<_> = names(&source.code).map(|(_, name)| name).collect();
        assert_eq!(found, ["a", "b", "e", "r", "b", "l"]);
        let found: Vec<_> = names(&source.prose).map(|(_, name)| name).collect();
        assert_eq!(
            found,
            ["a", "c", "d", "b", "e", "r", "b", "i", "j", "k", "l"]
        );
    }

    #[test]
    fn what_only_tests_have_is_no_product() {
        let text = "fn a() {}\n#[cfg(test)]\nuse b::{c};\nfn d() {}\n#[cfg(test)]\nmod tests {\n    // e\n\n    fn e() { if f {} }\n}\nfn g() {}";
        let source = Source::new("src/x.rs", text);
        let found: Vec<_> = names(&source.product).map(|(_, name)| name).collect();
        assert_eq!(found, ["fn", "a", "fn", "d", "fn", "g"]);
        assert_eq!(source.product_lines(), 3);
        assert_eq!(source.place(text.find("fn g").unwrap()), "src/x.rs:11");
    }

    #[test]
    fn a_file_is_a_module() {
        for (path, module) in [
            ("src/lib.rs", &[][..]),
            ("src/time.rs", &["time"]),
            ("src/a/mod.rs", &["a"]),
            ("src/a/b.rs", &["a", "b"]),
        ] {
            assert_eq!(Source::new(path, "").module(), module);
        }
    }
}
