//! What is found in the configuration's place, and whether it is known already.

use std::path::Path;
use std::sync::Arc;

use crate::config::{NamedFiles, Report, Revision, read_file};

/// What was found in the file's place, and the stamps of the files that matter just before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The content, which is what will be applied, or why there is none.
    pub(super) content: Result<Vec<u8>, Report>,
    revision: Option<Revision>,
    files: NamedFiles,
}

/// A content that was read completely, and the stamps of the files that it names.
#[derive(Clone, Debug)]
pub(in crate::app) struct Known {
    revision: Revision,
    files: Arc<NamedFiles>,
}

impl Seen {
    /// Reads the file, and stamps the files that the known contents name.
    pub(super) fn at<'a>(file: &Path, known: impl IntoIterator<Item = &'a Known>) -> Self {
        let mut files = NamedFiles::default();
        files.note(file);
        for known in known {
            known.files.paths().for_each(|path| files.note(path));
        }
        let content = read_file(file);
        Self {
            revision: content.as_deref().ok().map(Revision::of),
            content,
            files,
        }
    }

    /// Whether loading it again would load the same.
    pub(super) fn is(&self, known: &Known) -> bool {
        self.revision.as_ref() == Some(&known.revision) && self.files.agree_with(&known.files)
    }

    /// Turns it into a known content, with the files that were read when it was loaded.
    pub(super) fn known_with(&self, files: &NamedFiles) -> Option<Known> {
        Some(Known {
            revision: self.revision.clone()?,
            files: Arc::new(files.clone()),
        })
    }
}

impl Known {
    /// The first known content, from the load at the start.
    pub(in crate::app) fn new(revision: Revision, files: NamedFiles) -> Self {
        let files = Arc::new(files);
        Self { revision, files }
    }

    /// The files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.paths()
    }
}
