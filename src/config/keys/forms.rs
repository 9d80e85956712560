//! Kinds of texts. A pattern refuses what it can without refusing any valid text; the walk checks the rest.

use super::{Form, Shown};

const fn form(name: &'static str, pattern: &'static str) -> Form {
    Form {
        name,
        pattern,
        numbers: None,
        shown: Shown::Plain,
    }
}

impl Form {
    /// Accepts whole numbers from `least` to `most` without quotes.
    const fn unquoted(mut self, least: i64, most: i64) -> Self {
        self.numbers = Some((least, most));
        self
    }

    /// Sets how it is shown.
    const fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }
}

pub(super) const ANY: Form = form("text", "").unquoted(i64::MIN, i64::MAX);

pub(super) const NAME: Form = form(
    "text of up to 128 characters",
    "^[^\\u0000-\\u001f]{1,128}$",
)
.unquoted(i64::MIN, i64::MAX);

pub(super) const REASON: Form = form(
    "text of up to 256 characters",
    "^\\s*[^\\s\\u0000-\\u001f][^\\u0000-\\u001f]*$",
)
.unquoted(i64::MIN, i64::MAX);

pub(super) const VERSION: Form = form("`1`", "^1$").unquoted(1, 1);

pub(super) const ADDRESS: Form = form(
    "address with a port, such as `127.0.0.1:7900` or `[::1]:7900`",
    "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9A-Fa-f:.]+(%[0-9]+)?\\]):[0-9]{1,5}$",
);

pub(super) const ADMIN_ADDRESS: Form = form(
    "address with a port, or `unix:/path`",
    "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9A-Fa-f:.]+(%[0-9]+)?\\]):[0-9]{1,5}$|^unix:/",
);

pub(super) const SERVER: Form = form(
    "IP address, with a port if it is not 53",
    "^[0-9]{1,3}(\\.[0-9]{1,3}){3}(:[0-9]{1,5})?$|^\\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(\\](:[0-9]{1,5})?)?$",
);

pub(super) const FILE: Form = form("path of a file", "^[^\\u0000-\\u001f]+$");

pub(super) const HOST: Form = form(
    "host name or address, without a port",
    "^[A-Za-z0-9_.:-]+$|^\\[[0-9A-Fa-f:.]+\\]$",
);

pub(super) const HOST_PATTERN: Form = form(
    "host, or `*.example.com`",
    "^(\\*\\.)?[A-Za-z0-9_.:-]+$|^\\[[0-9A-Fa-f:.]+\\]$",
);

pub(super) const ENDPOINT: Form = form(
    "`host`, `host:port` or `[IPv6]:port`",
    "^[A-Za-z0-9_.:-]+$|^\\[[0-9A-Fa-f:.]+\\](:[0-9]{1,5})?$",
);

pub(super) const URL: Form = form(
    "`http://` or `https://` URL without query, fragment and password",
    "^[Hh][Tt][Tt][Pp][Ss]?://[^@?#\\s/]+(/[^?#\\s]*)?$",
);

pub(super) const HEADER: Form = form("name of a header", "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$");

pub(super) const HEADER_VALUE: Form = form("text of printable ASCII", "^[\\t -\\u00ff]*$")
    .unquoted(i64::MIN, i64::MAX)
    .shown(Shown::HeaderValue);

pub(super) const METHOD: Form = form("method in capitals", "^[!#$%&'*+.^_`|~0-9A-Z-]+$");

pub(super) const PATH: Form = form("path that begins with `/`", "^/").shown(Shown::PathWithQuery);

pub(super) const PREFIX: Form = form("path that begins with `/`", "^/[!-\"$-)+->@-~]*$");

pub(super) const STATUS: Form = form(
    "status such as `404`, `500-599`, `5xx` or `any`",
    "^([1-5][0-9]{2}(-[1-5][0-9]{2})?|[1-5]xx|any)$",
)
.unquoted(100, 599);

pub(super) const PROBED: Form = form(
    "status such as `204`, `200-399` or `2xx`",
    "^([1-5][0-9]{2}(-[1-5][0-9]{2})?|[1-5]xx)$",
)
.unquoted(100, 599);

pub(super) const RETRIED: Form = form("`dns`, `connect`, `connect_timeout`, `tls`, `reset`, `protocol`, `timeout`, or a status such as `503`, `5xx` or `500-504`", "^(dns|connect|connect_timeout|tls|reset|protocol|timeout|[45]xx|[45][0-9]{2}(-[45][0-9]{2})?)$").unquoted(400, 599);

pub(super) const POINTER: Form = form("JSON pointer such as `/error/code`", "^(/([^~]|~[01])*)?$");

pub(super) const EXPECTED: Form = form(
    "number, range of numbers such as `200-299`, or text in which `*` stands for anything",
    "",
)
.unquoted(i64::MIN, i64::MAX);

pub(super) const PATTERN: Form =
    form("text in which `*` stands for anything", "").unquoted(i64::MIN, i64::MAX);

pub(super) const MOMENT: Form = form(
    "moment with its time zone, such as `2026-12-01T06:00:00Z`",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
);

pub(super) const ROUTE_NAME: Form = form("name of a route", "^[a-z0-9][a-z0-9-]{0,62}$");

pub(super) const PRESET_NAME: Form = form("name of a preset", "^[a-z0-9][a-z0-9-]{0,62}$");

/// Excludes the names of built-in presets; a test compares them.
pub(super) const NEW_PRESET_NAME: Form = form(
    "name of a preset that is not built in",
    "^(?!(database|redis|whatsapp|email|external-api)$)[a-z0-9][a-z0-9-]{0,62}$",
);

pub(super) const CANDIDATE_NAME: Form = form("name of a candidate", "^[a-z0-9][a-z0-9-]{0,62}$");
