//! YAML text to [`Node`]s, within budgets.
//!
//! It reads the parser's events instead of deserializing, because only they give every node its place and every text as written.

use std::collections::HashMap;
use std::rc::Rc;

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, Span as Place, options};

use super::excerpt::show;
use super::problem::{Code, Problem, Problems};
use super::refusal::{Fatal, MAX_DEPTH, empty, fatal, key_is_no_text, syntax, too_deep};
use super::tree::{Entry, Key, Node, Scalar, Span, Value};

/// The largest file, in bytes.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// The most nodes, where each alias counts as all that it stands for: ten for each of 10 000 routes.
const MAX_NODES: usize = 100_000;
/// The most bytes of text that aliases may stand for: many aliases of one long text are few nodes and much memory.
const MAX_REPEATED: usize = MAX_BYTES;

/// Parses one document. Repeated keys are reported and skipped; any other problem is reported and ends it with `None`.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    parse_wanted(text, &|_| true, problems)
}

/// The same, but of unwanted routes only the names: to answer for one route, ten thousand would take too much memory.
pub(crate) fn parse_wanted(
    text: &str,
    is_wanted: &dyn Fn(&str) -> bool,
    problems: &mut Problems,
) -> Option<Node> {
    match Reader::new(is_wanted).read(text, problems) {
        Ok(node) => Some(node),
        Err(problem) => {
            problems.push(*problem);
            None
        }
    }
}

/// A list or mapping that has not ended yet.
struct Open {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        key: Option<Key>,
        lines: HashMap<String, usize>,
    },
}

struct Reader<'w> {
    /// Which routes are kept.
    is_wanted: &'w dyn Fn(&str) -> bool,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    nodes: usize,
    /// Text that aliases stand for, in bytes.
    repeated: usize,
    root: Option<Node>,
}

impl<'w> Reader<'w> {
    fn new(is_wanted: &'w dyn Fn(&str) -> bool) -> Self {
        Self {
            is_wanted,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            repeated: 0,
            root: None,
        }
    }

    /// Whether the next node is the settings of a route.
    fn is_in_routes(&self) -> bool {
        let [root, _] = &self.open[..] else {
            return false;
        };
        matches!(&root.content, Content::Mapping { key: Some(key), .. } if key.text == "routes")
    }

    fn read(mut self, text: &str, problems: &mut Problems) -> Result<Node, Fatal> {
        if text.len() > MAX_BYTES {
            let message = format!(
                "the file has {} bytes, more than the {MAX_BYTES} allowed",
                text.len()
            );
            return Err(fatal(Code::Budget, Span::default(), message));
        }
        let limits =
            options! { flow_nesting_limit: MAX_DEPTH + 1, block_nesting_limit: MAX_DEPTH + 1 };
        for event in Parser::new_from_str_with_options(text, limits) {
            let (event, place) = event.map_err(|error| {
                let at = *error.marker();
                syntax(&error, span(Place::new(at, at)), text)
            })?;
            self.event(event, span(place), problems)?;
        }
        match self.root {
            Some(Node {
                value: Value::Null, ..
            })
            | None => Err(empty()),
            Some(root) => Ok(root),
        }
    }

    fn event(
        &mut self,
        event: Event<'_>,
        span: Span,
        problems: &mut Problems,
    ) -> Result<(), Fatal> {
        match event {
            Event::Scalar(.., Some(_))
            | Event::SequenceStart(.., Some(_))
            | Event::MappingStart(.., Some(_)) => Err(fatal(
                Code::Structure,
                span,
                "YAML tags (`!…`) are not allowed",
            )),
            Event::Scalar(text, style, anchor, None) => {
                self.count(1, span)?;
                let null = style == ScalarStyle::Plain
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null {
                    Value::Null
                } else {
                    Value::Scalar(Scalar {
                        text: text.into_owned(),
                        reference: None,
                        is_plain: style == ScalarStyle::Plain,
                    })
                };
                self.place(Node { span, value }, anchor, problems)
            }
            Event::SequenceStart(_, anchor, None) => {
                self.begin(Content::Sequence(Vec::new()), anchor, span)
            }
            Event::MappingStart(_, anchor, None) => {
                let content = Content::Mapping {
                    entries: Vec::new(),
                    key: None,
                    lines: HashMap::new(),
                };
                self.begin(content, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(problems),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
                    return Err(fatal(
                        Code::Structure,
                        span,
                        "this alias stands inside what it refers to",
                    ));
                };
                self.count(node.size(), span)?;
                self.repeat(node.text_bytes(), span)?;
                if self.open.len() + node.depth() > MAX_DEPTH {
                    return Err(too_deep(span));
                }
                self.place(Node::clone(&node), 0, problems)
            }
            Event::DocumentStart(..) if self.root.is_some() => Err(fatal(
                Code::Structure,
                span,
                "a second document begins here; the file must hold one",
            )),
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..)
            | Event::UnresolvedAlias(_)
            | _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Fatal> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(fatal(
            Code::Budget,
            span,
            format!(
                "the file has more than {MAX_NODES} nodes (aliases count as what they stand for)"
            ),
        ))
    }

    fn repeat(&mut self, bytes: usize, span: Span) -> Result<(), Fatal> {
        self.repeated = self.repeated.saturating_add(bytes);
        if self.repeated <= MAX_REPEATED {
            return Ok(());
        }
        let message = format!("the aliases stand for more than {MAX_REPEATED} bytes of text");
        Err(fatal(Code::Budget, span, message))
    }

    fn begin(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Fatal> {
        self.count(1, span)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.open.push(Open {
            span,
            anchor,
            content,
        });
        Ok(())
    }

    fn end(&mut self, problems: &mut Problems) -> Result<(), Fatal> {
        let Some(Open {
            span,
            anchor,
            content,
        }) = self.open.pop()
        else {
            return Ok(());
        };
        // Shrunk: most have one entry or two, and a vector begins with room for four.
        let value = match content {
            Content::Sequence(mut items) => {
                items.shrink_to_fit();
                Value::Sequence(items)
            }
            Content::Mapping { mut entries, .. } => {
                entries.shrink_to_fit();
                Value::Mapping(entries)
            }
        };
        self.place(Node { span, value }, anchor, problems)
    }

    /// Puts a finished node where it belongs: into the list, as a key, as a key's value, or at the top.
    fn place(&mut self, node: Node, anchor: usize, problems: &mut Problems) -> Result<(), Fatal> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::new(node.clone()));
        }
        let is_route = self.is_in_routes();
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping {
                entries,
                key,
                lines,
            } => match key.take() {
                Some(key) => match lines.get(&key.text) {
                    Some(line) => {
                        let message = format!("`{}` is already set", show(&key.text));
                        problems.push(
                            Problem::error(Code::DuplicateKey, key.span, message)
                                .hint(format!("first set in line {line}")),
                        );
                    }
                    None => {
                        // Null has no place of its own, and a text that begins below its key is better shown by the key.
                        let scalar = matches!(node.value, Value::Null | Value::Scalar(_));
                        let elsewhere =
                            node.value == Value::Null || node.span.line != key.span.line;
                        let span = if scalar && elsewhere {
                            key.span
                        } else {
                            node.span
                        };
                        let value = if is_route && !(self.is_wanted)(&key.text) {
                            Value::Null
                        } else {
                            node.value
                        };
                        let node = Node { span, value };
                        lines.insert(key.text.clone(), key.span.line);
                        entries.push(Entry { key, node });
                    }
                },
                None => {
                    let Value::Scalar(Scalar { text, .. }) = node.value else {
                        return Err(key_is_no_text(&node));
                    };
                    *key = Some(Key {
                        text,
                        span: node.span,
                    });
                }
            },
        }
        Ok(())
    }
}

fn span(place: Place) -> Span {
    let width = if place.start.line() == place.end.line() {
        place.end.col().saturating_sub(place.start.col())
    } else {
        1
    };
    Span {
        line: place.start.line(),
        column: place.start.col() + 1,
        width: width.max(1),
    }
}
