//! The configuration file: from its text to a [`Plan`].
//!
//! ```text
//! text → tree (every node knows its line) → ${VAR} replaced → one walk that takes every key or reports it → Plan
//! ```
//!
//! The walk goes on after a problem, so one run reports all of them; a [`Report`] prints them with line, caret and suggestion.
//! Route settings are merged as trees before they are read: built-in < `defaults` < presets < route. So a value keeps its place
//! in the file wherever it comes from. Callers begin at [`load()`] or [`load_file`].

pub mod plan;
pub mod template;
pub mod units;

mod certificates;
mod compile;
mod confidential;
mod effective;
mod excerpt;
mod expand;
mod fallback;
mod fields;
mod files;
mod found;
mod graph;
mod keys;
mod load;
mod lookalike;
mod preset;
mod problem;
mod readers;
mod refusal;
mod report;
mod schema;
mod short;
mod standard;
mod suggest;
mod tree;
mod unknown;
mod when;
mod yaml;

pub use effective::{Effective, Row, Source, table};
pub use files::NamedFiles;
pub(crate) use files::{directory, open_regular};
pub use load::{Loaded, Revision, load, load_content, load_file, read_file};
pub use plan::Plan;
pub use preset::built_in_names;
pub use problem::{Code, Problem, Severity};
pub use report::{Look, Report};
pub use schema::schema;
pub(crate) use suggest::similar;

#[cfg(test)]
mod tests;
