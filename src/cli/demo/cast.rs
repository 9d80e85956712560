//! The routes of the demo and their callers.

use std::time::Duration;

use http::Method;

use super::traffic::Callers;

/// The route that gets into trouble.
pub(super) const WHATSAPP: &str = "whatsapp";

/// All routes, in the order of the tables.
pub(super) const ROUTES: [&str; 3] = [WHATSAPP, "email", "partner"];

/// The callers of each route.
pub(super) fn cast() -> [Callers; 3] {
    let callers = |route, count, method, target, body| Callers {
        route,
        count,
        rest: Duration::from_millis(100),
        method,
        target,
        body,
    };
    let message = "{\"to\":\"4915112345678\",\"text\":\"The flat is free\"}";
    let mail = "{\"to\":\"ada@example.com\",\"subject\":\"Your viewing\"}";
    [
        callers(
            WHATSAPP,
            5,
            Method::POST,
            "/whatsapp/v19.0/1/messages",
            message,
        ),
        callers("email", 2, Method::POST, "/email/v3/mail/send", mail),
        callers("partner", 2, Method::GET, "/partner/listings/42", ""),
    ]
}
