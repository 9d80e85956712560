//! What a misspelt word probably means.

use super::excerpt::show;

/// Words longer than this get no suggestion: comparing costs the square of the length.
const LONGEST: usize = 64;

/// At most `most` of the candidates that resemble `word`, the most similar first.
pub(crate) fn similar<'c>(
    word: &str,
    candidates: impl Iterator<Item = &'c str>,
    most: usize,
) -> Vec<&'c str> {
    if word.len() > LONGEST {
        return Vec::new();
    }
    let word = word.to_ascii_lowercase();
    let mut similar: Vec<(f64, &str)> = candidates
        .map(|other| (strsim::jaro_winkler(&word, other), other))
        .filter(|(similarity, _)| *similarity >= 0.75)
        .collect();
    similar.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    similar.truncate(most);
    similar.into_iter().map(|(_, other)| other).collect()
}

/// The candidate that `word` resembles most, if any is close enough.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_lowercase().replace(['-', ' '], "_");
    let allowed = (word.len() / 3).max(1);
    let letters = word.chars().count();
    let mut longer = None;
    candidates
        .into_iter()
        .inspect(|candidate| {
            let rest = candidate.strip_prefix(word.as_str());
            if rest.is_some_and(|rest| rest.starts_with('_')) {
                longer = longer.or(Some(*candidate));
            }
        })
        // Each additional letter is one more change.
        .filter(|candidate| candidate.chars().count().abs_diff(letters) <= allowed)
        .map(|candidate| {
            let distance = strsim::osa_distance(&word, &candidate.replace('-', "_"));
            (distance, candidate)
        })
        // A word of which every letter is changed resembles anything.
        .filter(|(distance, _)| *distance <= allowed && *distance < word.len())
        .min_by(|(a, x), (b, y)| {
            a.cmp(b).then_with(|| {
                strsim::jaro_winkler(&word, y).total_cmp(&strsim::jaro_winkler(&word, x))
            })
        })
        .map(|(_, candidate)| candidate)
        .or(longer)
}

/// The first of the routes, for whom no name resembles: `routes: a, b`.
pub(crate) fn routes<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    /// So many are named.
    const MOST: usize = 8;
    let mut names = names.into_iter();
    let first: Vec<String> = names.by_ref().take(MOST).map(show).collect();
    let list = format!("routes: {}", first.join(", "));
    match names.count() {
        0 => list,
        more => format!("{list}, and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = [
        "failure_threshold",
        "failure_ratio",
        "reset_timeout",
        "window",
    ];

    #[test]
    fn a_misspelt_word_finds_its_nearest_candidate() {
        assert_eq!(nearest("failure_treshold", KEYS), Some("failure_threshold"));
        assert_eq!(nearest("resetTimeout", KEYS), Some("reset_timeout"));
        assert_eq!(nearest("WINDOW", KEYS), Some("window"));
        assert_eq!(nearest("reset", KEYS), Some("reset_timeout"));
        assert_eq!(
            nearest("external_api", ["external-api", "email"]),
            Some("external-api")
        );
    }

    #[test]
    fn of_many_routes_the_first_are_named() {
        assert_eq!(routes(["a", "b"]), "routes: a, b");
        let many: Vec<String> = (0..1_000).map(|n| format!("r{n}")).collect();
        let told = routes(many.iter().map(String::as_str));
        assert!(told.ends_with("r6, r7, and 992 more"), "{told}");
    }

    #[test]
    fn a_word_like_none_and_an_endless_one_get_no_suggestion() {
        assert_eq!(nearest("banana", KEYS), None);
        assert_eq!(nearest("3", ["1", "2"]), None);
        assert_eq!(nearest(&"window".repeat(10_000), KEYS), None);
    }

    #[test]
    fn similar_words_come_best_first_and_no_more_of_them_than_asked_for() {
        let names = ["payment", "payments", "mail", "paymnet"];
        assert_eq!(
            similar("Payments", names.into_iter(), 2),
            ["payments", "payment"]
        );
        assert!(similar("crm", names.into_iter(), 2).is_empty());
        assert!(similar(&"mail".repeat(17), names.into_iter(), 2).is_empty());
    }
}
