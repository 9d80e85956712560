//! Lines for people at a terminal: one line each, control characters escaped as in JSON lines. Only a text of several lines
//! stands below the event's line.

use super::access_log::{AccessRecord, MAX_PATH, MAX_WORD, rounded_millis};
use super::escape::{self, Place};
use super::line::{Level, TimeText};

/// The longest value of an event's field that is shown whole, in bytes.
pub(super) const MAX_FIELD: usize = 8 * 1024;

const RESET: &[u8] = b"\x1b[0m";
const DIM: &str = "\x1b[2m";

/// Appends `15:00:00.000 INFO  `; the caller goes on from there.
pub(super) fn push_head(line: &mut Vec<u8>, level: Level, time: &[u8; 24], color: bool) {
    // Hours to milliseconds of `2025-10-16T15:00:00.000Z`.
    painted(line, color, DIM, &time[11..23]);
    line.push(b' ');
    painted(line, color, level.colour(), level.column().as_bytes());
    line.push(b' ');
}

/// Appends the line of an exchange: time, level, method, path or the tunnel's target, status, duration, route, outcome, the status
/// of gRPC's, reason with its detail, id.
pub(super) fn push_access(
    line: &mut Vec<u8>,
    record: &AccessRecord<'_>,
    color: bool,
    times: &mut TimeText,
) {
    let level = record.level();
    push_head(line, level, times.at(record.time), color);
    escape::push(line, record.method.as_bytes(), Place::Word, MAX_WORD);
    line.push(b' ');
    let target = record.tunnel.unwrap_or_else(|| record.bare_path());
    escape::push(line, target, Place::Word, MAX_PATH);
    line.push(b' ');
    painted(
        line,
        color,
        level.colour(),
        itoa::Buffer::new().format(record.status).as_bytes(),
    );
    line.push(b' ');
    line.extend_from_slice(
        itoa::Buffer::new()
            .format(rounded_millis(record.duration))
            .as_bytes(),
    );
    line.extend_from_slice(b"ms ");
    line.extend_from_slice(record.route.unwrap_or("-").as_bytes());
    line.push(b' ');
    line.extend_from_slice(record.outcome.label().as_bytes());
    if let Some(status) = record.grpc_status {
        line.extend_from_slice(b" grpc=");
        line.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    }
    if let Some(reason) = record.reason {
        line.push(b' ');
        painted(line, color, level.colour(), reason.label().as_bytes());
    }
    if let Some(flaw) = record.flaw {
        push_field(line, color, b"detail", flaw.sentence());
    }
    if let Some(kind) = record.fallback {
        line.extend_from_slice(b" fallback=");
        line.extend_from_slice(kind.as_bytes());
    }
    line.push(b' ');
    painted(line, color, DIM, record.correlation_id.as_bytes());
    line.push(b'\n');
}

/// Appends ` key=value` of an event. A value that is not one plain word is quoted.
pub(super) fn push_field(line: &mut Vec<u8>, color: bool, key: &[u8], value: &str) {
    line.push(b' ');
    painted(line, color, DIM, key);
    painted(line, color, DIM, b"=");
    if value.is_empty() || value.contains([' ', '"', '=']) {
        line.push(b'"');
        escape::push(line, value.as_bytes(), Place::Json, MAX_FIELD);
        line.push(b'"');
    } else {
        escape::push(line, value.as_bytes(), Place::Word, MAX_FIELD);
    }
}

/// Appends a text of several lines for what stands below an event's line. Each is indented, so none can pass for a line of the log.
pub(super) fn push_block(block: &mut Vec<u8>, text: &str) {
    for line in text.lines() {
        block.extend_from_slice(b"    ");
        escape::push(block, line.as_bytes(), Place::Text, MAX_FIELD);
        block.push(b'\n');
    }
}

fn painted(line: &mut Vec<u8>, color: bool, paint: &str, text: &[u8]) {
    if color {
        line.extend_from_slice(paint.as_bytes());
    }
    line.extend_from_slice(text);
    if color {
        line.extend_from_slice(RESET);
    }
}
