//! `correlation:`

use ::http::HeaderName;

use super::headers::id_header;
use crate::config::fields::Fields;
use crate::config::plan::CorrelationPlan;
use crate::config::problem::{Code, Problem};

pub(super) fn correlation(fields: &mut Fields<'_, '_>) -> CorrelationPlan {
    let ours = HeaderName::from_static("x-correlation-id");
    let header = fields
        .parse_setting("header", id_header)
        .unwrap_or_else(|| ours.clone());
    let span = fields.span;
    let accept = fields.list("accept", id_header).unwrap_or_else(|| {
        let mut accept = vec![
            header.clone(),
            ours,
            HeaderName::from_static("x-request-id"),
        ];
        accept.dedup();
        accept
    });
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
