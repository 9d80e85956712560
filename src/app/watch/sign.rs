//! What the system reports about a directory, in our terms.

use std::collections::BTreeSet;
use std::path::PathBuf;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};

/// What an event in a directory says about a file of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing: a read, ours for example.
    Nothing,
    /// It may have changed.
    Changed,
    /// Part of it was written.
    Written,
    /// Its writer is done, or writes to a file that no longer has the name.
    Whole,
}

impl Sign {
    pub(super) fn of(event: &Event, files: &BTreeSet<PathBuf>) -> Self {
        let is_file = event.paths.iter().any(|path| files.contains(path));
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) if is_file => Self::Whole,
            // Reads are reported as well: taking them for changes would make the reload read forever.
            EventKind::Access(_) => Self::Nothing,
            EventKind::Modify(ModifyKind::Data(_)) if is_file => Self::Written,
            EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_))
                if is_file =>
            {
                Self::Whole
            }
            // The content of another file does not matter; if it is the target of a link of ours, the poll notices.
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) if !is_file => {
                Self::Nothing
            }
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => Self::Changed,
        }
    }
}

/// Whether the names of the event may stand for other files from now on.
pub(super) fn is_moving(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    )
}

/// Whether one of the event's paths was removed or renamed: whatever has that name next is another file.
pub(super) fn is_parting(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From))
    )
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, MetadataKind, RemoveKind};

    use super::*;

    fn of(kind: EventKind, path: &str) -> Sign {
        let event = Event::new(kind).add_path(path.into());
        Sign::of(&event, &BTreeSet::from(["/etc/sidefuse.yaml".into()]))
    }

    #[test]
    fn reading_the_file_is_no_change_so_that_looking_causes_no_looking() {
        for kind in [
            AccessKind::Open(AccessMode::Any),
            AccessKind::Read,
            AccessKind::Close(AccessMode::Read),
        ] {
            let kind = EventKind::Access(kind);
            assert_eq!(of(kind, "/etc/sidefuse.yaml"), Sign::Nothing);
        }
    }

    #[test]
    fn what_editors_and_kubernetes_do_is_a_change_case_144() {
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let created = EventKind::Create(CreateKind::File);
        let file = "/etc/sidefuse.yaml";
        for (kind, path, expected) in [
            (created, file, Sign::Whole),
            (moved, file, Sign::Whole),
            (moved, "/etc/..data", Sign::Changed),
            (touched, file, Sign::Changed),
            (written, file, Sign::Written),
            (closed, file, Sign::Whole),
            (written, "/etc/other.yaml", Sign::Nothing),
            (closed, "/etc/other.yaml", Sign::Nothing),
            (EventKind::Remove(RemoveKind::Folder), "/etc", Sign::Changed),
        ] {
            assert_eq!(of(kind, path), expected, "{kind:?} {path}");
        }
    }

    #[test]
    fn a_name_that_comes_goes_or_is_moved_onto_stands_for_another_file() {
        let created = EventKind::Create(CreateKind::File);
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let removed = EventKind::Remove(RemoveKind::File);
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for kind in [created, moved, removed] {
            assert!(is_moving(&Event::new(kind)), "{kind:?}");
        }
        assert!(!is_moving(&Event::new(written)));
    }

    #[test]
    fn a_directory_that_is_removed_or_renamed_parts() {
        let event = |kind| Event::new(kind).add_path("/etc".into());
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        assert!(is_parting(&event(EventKind::Remove(RemoveKind::Folder))));
        assert!(is_parting(&event(renamed)));
        assert!(!is_parting(&event(EventKind::Create(CreateKind::Folder))));
    }
}
