//! Problems as people read them: the line, a caret, what was expected.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::Report;
use crate::config::excerpt::Excerpt;
use crate::config::problem::{Problem, Severity};

/// How many problems are printed in full.
pub(super) const MOST_SHOWN: usize = 100;
/// Lines are cut before they are kept; this keeps them from being cut again.
const WIDE: usize = 400;

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Text alone.
    #[default]
    Plain,
    /// With the escape sequences of a terminal.
    Coloured,
}

impl Report {
    /// Each problem in some lines; empty when nothing was found.
    pub(super) fn human(&self, look: Look) -> String {
        let renderer = match look {
            Look::Plain => Renderer::plain(),
            Look::Coloured => Renderer::styled(),
        }
        .term_width(WIDE);
        let mut told = String::new();
        for (problem, excerpt) in self.found.iter().take(MOST_SHOWN) {
            told.push_str(&self.one(problem, excerpt.as_ref(), &renderer));
            told.push('\n');
        }
        let shown = self.found.len().min(MOST_SHOWN);
        let more = self.found.len() - shown + self.untold();
        if more > 0 {
            told.push_str(&format!("… and {more} more\n"));
        }
        told
    }

    fn one(&self, problem: &Problem, excerpt: Option<&Excerpt>, renderer: &Renderer) -> String {
        let Problem {
            severity,
            code,
            message,
            line,
            column,
            width: _,
            hint,
            help,
        } = problem;
        let level = match severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let source = excerpt.map(in_place);
        let mut group = Group::with_title(level.primary_title(message).id(code.as_str()));
        group = match &source {
            Some((text, span)) => {
                let mark: Annotation<'_> = AnnotationKind::Primary
                    .span(span.clone())
                    .label(hint.as_deref());
                group.element(
                    Snippet::source(text)
                        .line_start(*line)
                        .path(&self.origin)
                        .fold(false)
                        .annotation(mark),
                )
            }
            None => {
                let mut origin = Origin::path(&self.origin);
                if *line > 0 {
                    origin = origin.line(*line).char_column(*column);
                }
                let group = group.element(origin);
                match hint {
                    Some(hint) => group.element(Level::HELP.no_name().message(hint)),
                    None => group,
                }
            }
        };
        if let Some(help) = help {
            group = group.element(Level::HELP.no_name().message(help));
        }
        renderer.render(&[group])
    }
}

/// The line, with spaces for what was cut off in front so that its columns are those of the file; and the bytes to mark.
fn in_place(excerpt: &Excerpt) -> (String, std::ops::Range<usize>) {
    let Excerpt {
        text,
        at,
        width,
        skipped,
    } = excerpt;
    let byte = |at: usize| {
        text.char_indices()
            .nth(at)
            .map_or(text.len(), |(byte, _)| byte)
    };
    let span = skipped + byte(*at)..skipped + byte(at + width);
    (format!("{}{text}", " ".repeat(*skipped)), span)
}
