//! Calls at a fixed rate: `steady ADDRESS PATH RATE SECONDS CONNECTIONS STATUS` prints its figures as one line of JSON.
//!
//! Each call is due at a time that is fixed before the first one is made, and its latency counts from then. An answer that comes late
//! thus also counts against the calls that wait behind it, which a generator that takes its time from the answers would never see
//! (coordinated omission). One thread per connection and the standard library; nothing of the crate that is measured.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its figures"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it is a clock with a mouth, and no test pauses it"
)]

use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// What is called, and how often.
#[derive(Clone)]
struct Plan {
    address: String,
    request: Vec<u8>,
    rate: f64,
    calls: usize,
    connections: usize,
    status: String,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    errors: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(plan) = plan(&arguments) else {
        eprintln!("usage: steady ADDRESS PATH RATE SECONDS CONNECTIONS STATUS");
        return ExitCode::from(2);
    };
    // By default the kernel may wake us 50 µs late, to wake others in one go. Where it cannot be told otherwise, all are late alike.
    let _ = fs::write("/proc/self/timerslack_ns", "1");
    let begin = Instant::now() + Duration::from_millis(100);
    let threads: Vec<_> = (0..plan.connections)
        .map(|index| {
            let plan = plan.clone();
            thread::spawn(move || call(&plan, index, begin))
        })
        .collect();
    let mut all = Seen::default();
    for thread in threads {
        let Ok(seen) = thread.join() else {
            return ExitCode::FAILURE;
        };
        all.latencies.extend(seen.latencies);
        all.errors += seen.errors;
    }
    let took = begin.elapsed();
    all.latencies.sort_unstable();
    println!(
        "{{\"requests\":{},\"microseconds\":{},\"p50\":{},\"p99\":{},\"max\":{},\"errors\":{}}}",
        all.latencies.len(),
        took.as_micros(),
        microseconds(&all.latencies, 0.50),
        microseconds(&all.latencies, 0.99),
        microseconds(&all.latencies, 1.0),
        all.errors
    );
    ExitCode::SUCCESS
}

fn plan(arguments: &[String]) -> Option<Plan> {
    let [address, path, rate, seconds, connections, status] = arguments else {
        return None;
    };
    let rate: f64 = rate.parse().ok().filter(|rate| *rate > 0.0)?;
    let seconds: f64 = seconds.parse().ok().filter(|seconds| *seconds > 0.0)?;
    let connections: usize = connections.parse().ok().filter(|count| *count > 0)?;
    Some(Plan {
        address: address.clone(),
        request: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes(),
        rate,
        calls: (rate * seconds) as usize,
        connections,
        status: format!("HTTP/1.1 {status} "),
    })
}

/// Makes every call of one connection when it is due, or as soon as the one before is done.
fn call(plan: &Plan, index: usize, begin: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut stream = None;
    for number in (index..plan.calls).step_by(plan.connections) {
        let due = begin + Duration::from_secs_f64(number as f64 / plan.rate);
        // A wait may end early.
        while let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::park_timeout(early);
        }
        match exchange(plan, &mut stream) {
            Ok(()) => seen.latencies.push(due.elapsed()),
            Err(_) => {
                stream = None;
                seen.errors += 1;
            }
        }
    }
    seen
}

fn exchange(plan: &Plan, connection: &mut Option<TcpStream>) -> io::Result<()> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(&plan.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            connection.insert(stream)
        }
    };
    stream.write_all(&plan.request)?;
    let mut answer = Vec::with_capacity(4096);
    let mut piece = [0; 4096];
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&piece[..length]);
        if let Some(end) = end(&answer)
            && answer.len() >= end
        {
            break;
        }
    }
    if answer.starts_with(plan.status.as_bytes()) {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Where the answer ends, once its head has come. All that is measured here says its length.
fn end(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Some(head + 4 + length.unwrap_or(0))
}

fn microseconds(sorted: &[Duration], share: f64) -> u128 {
    let index = (sorted.len() as f64 * share) as usize;
    let found = sorted.get(index.min(sorted.len().saturating_sub(1)));
    found.map_or(0, Duration::as_micros)
}
