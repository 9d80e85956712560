//! Recognises secrets by the names of keys and headers.

/// Further words in names whose values are better not shown, besides those of [`is_secret_name`].
const WORDS: [&str; 8] = [
    "auth",
    "key",
    "session",
    "signature",
    "hmac",
    "jwt",
    "pwd",
    "sid",
];

/// Whether a key or header of that name usually holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 8] = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "passwd",
        "apikey",
        "credential",
    ];
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .collect::<String>()
        .to_ascii_lowercase();
    !name.ends_with("file") && PARTS.iter().any(|part| name.contains(part))
}

/// Whether a header or member of that name may hold a secret, so that the effective configuration masks it.
pub(crate) fn may_be_secret_name(name: &str) -> bool {
    is_secret_name(name) || words(name).any(|word| WORDS.contains(&word.as_str()))
}

/// The words of `X-Api-Key`, `api_key` and `apiKey`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut is_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphabetic() || is_lower && c.is_ascii_uppercase() {
            words.push(String::new());
        }
        is_lower = c.is_ascii_lowercase();
        if let (Some(word), true) = (words.last_mut(), c.is_ascii_alphabetic()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_secret_by_its_words() {
        for name in [
            "X-Auth",
            "apiKey",
            "X-Hub-Signature-256",
            "session_id",
            "sid",
            "X-Token",
            "Set-Cookie",
        ] {
            assert!(may_be_secret_name(name), "{name}");
        }
        for name in [
            "author",
            "keyword",
            "inside",
            "residential",
            "X-Client",
            "monkey",
            "",
        ] {
            assert!(!may_be_secret_name(name), "{name}");
        }
    }
}
