//! Real clients that know nothing of sidefuse but `HTTPS_PROXY`.

use std::process::{Command, Output};

use serde_json::Value;

use super::{lines, number, text};
use crate::support::answer::Answer;
use crate::support::config::{config, route};
use crate::support::http2::{Http2Origin, answer_ok};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;
use crate::support::tools::{python, tool};

fn start(url: &str) -> Sidefuse {
    Sidefuse::start(&config(&[route(
        "r",
        url,
        "timeout: 20s, idle_timeout: 20s",
    )]))
}

/// Runs it with sidefuse as its proxy for `https://` URLs.
fn run(command: &mut Command, sidefuse: &Sidefuse) -> Output {
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ] {
        command.env_remove(name);
    }
    let proxy = format!("http://{}", sidefuse.proxy());
    command
        .env("HTTPS_PROXY", &proxy)
        .env("https_proxy", &proxy);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The line of the only tunnel, which has worked.
fn line(sidefuse: &mut Sidefuse, host: &str) -> Value {
    let line = lines(sidefuse, 1).remove(0);
    assert_eq!(text(&line, "tunnel"), Some(host));
    assert_eq!(text(&line, "outcome"), Some("success"));
    assert_eq!(text(&line, "level"), Some("info"));
    line
}

fn origin() -> Origin {
    Origin::start_tls(|request| {
        Answer::ok(&format!("{} {}", request.head.target(), request.body.len()))
    })
}

fn host(url: &str) -> String {
    url.trim_start_matches("https://").to_owned()
}

#[test]
fn curl_makes_two_calls_through_one_tunnel() {
    let origin = origin();
    let mut sidefuse = start(&origin.url());
    let mut curl = Command::new(tool("curl"));
    curl.args(["-sS", "--noproxy", "", "--cacert"])
        .arg(origin.ca_file());
    curl.args(["-d", "hello"]);
    curl.args(["/a", "/b?c"].map(|path| origin.url() + path));
    assert_eq!(said(&run(&mut curl, &sidefuse)), "/a 5/b?c 5");
    assert_eq!((origin.requests().len(), origin.connections()), (2, 1));
    let line = line(&mut sidefuse, &host(&origin.url()));
    assert!(number(&line, "bytesIn") > 100 && number(&line, "bytesOut") > 100);
}

#[test]
fn curl_says_why_it_gets_no_tunnel() {
    let (origin, foreign) = (origin(), origin());
    let sidefuse = start(&origin.url());
    let mut curl = Command::new(tool("curl"));
    curl.args(["-sS", "--noproxy", "", "-k"]).arg(foreign.url());
    let output = run(&mut curl, &sidefuse);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("403"), "{told}");
    assert_eq!(foreign.connections(), 0);
}

#[test]
fn pythons_own_client_asks_in_its_own_way() {
    let origin = origin();
    let mut sidefuse = start(&origin.url());
    let script = "import ssl, sys, urllib.request as web\n\
                  trust = ssl.create_default_context(cafile=sys.argv[1])\n\
                  print(web.urlopen(sys.argv[2], b'hello', context=trust).read().decode())";
    let mut python = Command::new(python());
    python
        .args(["-c", script])
        .arg(origin.ca_file())
        .arg(origin.url() + "/x");
    assert_eq!(said(&run(&mut python, &sidefuse)).trim(), "/x 5");
    line(&mut sidefuse, &host(&origin.url()));
}

#[test]
fn httpx_speaks_http2_with_the_upstream_through_the_tunnel() {
    let origin = Http2Origin::start_tls(answer_ok);
    let mut sidefuse = start(&origin.url());
    let script = "import httpx, ssl, sys\n\
                  trust = ssl.create_default_context(cafile=sys.argv[1])\n\
                  with httpx.Client(http2=True, verify=trust) as client:\n\
                  \x20   for answer in [client.get(sys.argv[2]) for _ in range(3)]:\n\
                  \x20       print(answer.http_version, answer.text)";
    let mut python = Command::new(python());
    python
        .args(["-c", script])
        .arg(origin.ca_file())
        .arg(origin.url() + "/x");
    assert_eq!(said(&run(&mut python, &sidefuse)), "HTTP/2 ok\n".repeat(3));
    line(&mut sidefuse, &host(&origin.url()));
}
