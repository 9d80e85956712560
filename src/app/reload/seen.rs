//! What is found where the configuration should be, and whether it is what somebody knows already.

use std::path::Path;
use std::sync::Arc;

use crate::config::{NamedFiles, Report, Revision, read_file};

/// What was found in the place of the file, and how the files that matter stood just before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The content, which is what is applied then, or why there is none.
    pub(super) content: Result<Vec<u8>, Report>,
    revision: Option<Revision>,
    files: NamedFiles,
}

/// A content that was read to its end, and the files that it names as they were then.
#[derive(Clone, Debug)]
pub(in crate::app) struct Known {
    revision: Revision,
    files: Arc<NamedFiles>,
}

impl Seen {
    /// Looks at the file and, without reading them, at the files that the known ones name.
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

    /// Whether loading it anew would load the same.
    pub(super) fn is(&self, known: &Known) -> bool {
        self.revision.as_ref() == Some(&known.revision) && self.files.agree_with(&known.files)
    }

    /// The same, as what is known from now on: with the files that its loading read.
    pub(super) fn known_with(&self, files: &NamedFiles) -> Option<Known> {
        Some(Known {
            revision: self.revision.clone()?,
            files: Arc::new(files.clone()),
        })
    }
}

impl Known {
    /// What was loaded when nothing was known.
    pub(in crate::app) fn new(revision: Revision, files: NamedFiles) -> Self {
        let files = Arc::new(files);
        Self { revision, files }
    }

    /// The files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.paths()
    }
}
