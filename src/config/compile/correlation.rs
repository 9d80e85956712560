//! `correlation:`

use super::headers::id_header;
use crate::config::fields::Fields;
use crate::config::plan::CorrelationPlan;
use crate::config::problem::{Code, Problem};
use crate::config::standard;

pub(super) fn correlation(fields: &mut Fields<'_, '_>) -> CorrelationPlan {
    let header = fields
        .parse_setting("header", id_header)
        .unwrap_or(standard::CORRELATION);
    let span = fields.span;
    let accept = fields
        .list("accept", id_header)
        .unwrap_or_else(|| standard::accepted(&header));
    if accept.is_empty() {
        let empty = Problem::error(Code::NoValue, span, "`accept` names no header")
            .hint("remove it for the default");
        fields.problems.push(empty);
    }
    CorrelationPlan {
        header,
        accept,
        max_length: fields.setting("max_length"),
    }
}
