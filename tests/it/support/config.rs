//! Configurations: one worker, so that lines come in the order of the exchanges, and listeners on free ports of loopback.

/// These routes and nothing else.
pub(crate) fn config(routes: &[String]) -> String {
    config_with("", routes)
}

/// These routes, with further lines at the top; a `workers` among them replaces ours.
pub(crate) fn config_with(top: &str, routes: &[String]) -> String {
    let workers = if top.contains("workers:") {
        ""
    } else {
        "workers: 1\n"
    };
    let listen = "listen: {proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}";
    let routes: String = routes.iter().map(|route| format!("  {route}\n")).collect();
    format!("version: 1\n{workers}{listen}\n{top}\nroutes:\n{routes}")
}

/// A route to this URL with these settings (in flow style, without the braces).
pub(crate) fn route(name: &str, url: &str, settings: &str) -> String {
    format!("{name}: {{upstream: \"{url}\", {settings}}}")
}

/// A route whose upstream has settings too.
pub(crate) fn route_to(name: &str, url: &str, upstream: &str, settings: &str) -> String {
    format!("{name}: {{upstream: {{url: \"{url}\", {upstream}}}, {settings}}}")
}
