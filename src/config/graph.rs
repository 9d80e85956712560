//! The meaning of the codes of Meta's Graph API, as settings of the preset `whatsapp`.
//!
//! Meta says to branch on the code and not on the status, which varies between versions and products. So these rules look at the code of
//! every answer, whatever its status; one without a code is judged by its status.
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>

use super::tree::Node;

/// The place of the code in Graph's answers.
const CODE: &str = "/error/code";

/// Settings as they would be written.
type Settings = &'static [(&'static str, &'static str)];

/// Codes and their meaning. An empty list stands for every other code.
const RULES: [(&[&str], Settings); 5] = [
    // Too many messages to one recipient.
    (&["131056"], &[("as", "throttled"), ("scope", "key")]),
    // Throughput of the number, of the application and of the account; too many messages blocked or flagged as spam.
    (
        &["130429", "4", "80007", "131048"],
        &[("as", "throttled"), ("scope", "route")],
    ),
    // Unknown error, service down, something went wrong, service unavailable.
    (&["1", "2", "131000", "131016"], &[("as", "failure")]),
    // Token, permission, policy, payment, registration, number, maintenance of the account: a pause does not help.
    (
        &[
            "0", "3", "10", "190", "200-299", "368", "131031", "131042", "131045", "131057",
        ],
        &[("as", "alive"), ("config_error", "true")],
    ),
    // The call was wrong, and the service works.
    (&[], &[("as", "alive")]),
];

/// The preset's `classify`.
pub(super) fn rules() -> Node {
    let text = Node::built_in_text;
    let rules = RULES.map(|(codes, then)| {
        let codes = match codes {
            [] => Node::built_in_null(),
            codes => Node::built_in_list(codes.iter().copied().map(text).collect()),
        };
        let when = [
            ("status", text("any")),
            ("json", Node::built_in([(CODE, codes)])),
        ];
        let then = then.iter().map(|(key, value)| (*key, text(value)));
        Node::built_in_mapping(when.into_iter().chain(then))
    });
    Node::built_in_list(rules.into())
}
