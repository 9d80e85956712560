//! A name server on loopback that says what a test wants, over UDP and TCP.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is said of a name.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// These addresses, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// It is another name for this one, which is said as well.
    Alias(String, Vec<IpAddr>, u32),
    /// NXDOMAIN.
    NoSuchName,
    /// SERVFAIL.
    Failure,
    /// Nothing.
    Silence,
}

/// A name server. What it says can be changed at any time; of names it was told nothing about it says NXDOMAIN.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    says: HashMap<String, Say>,
    questions: HashMap<String, usize>,
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// More does not fit a datagram without EDNS (RFC 1035 §4.2.1).
const DATAGRAM: usize = 512;

impl NameServer {
    /// A server that knows nothing yet. Its threads end with the process.
    pub(crate) fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            // Somebody else may have this port for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let zone = Arc::<Mutex<Zone>>::default();
        let shared = Arc::clone(&zone);
        thread::spawn(move || {
            let mut question = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut question) {
                if let Some(mut answer) = answer(&shared, &question[..length], Seen::Counted) {
                    if answer.len() > DATAGRAM {
                        // Truncated: no records, and ask again over TCP.
                        answer[2] |= 2;
                        answer[6..12].fill(0);
                        answer.truncate(question_end(&answer));
                    }
                    let _ = udp.send_to(&answer, from);
                }
            }
        });
        let shared = Arc::clone(&zone);
        thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                        if stream.read_exact(&mut question).is_err() {
                            return;
                        }
                        if let Some(answer) = answer(&shared, &question, Seen::Before) {
                            let length = u16::try_from(answer.len()).unwrap();
                            let _ =
                                stream.write_all(&[&length.to_be_bytes()[..], &answer].concat());
                        }
                    }
                });
            }
        });
        Self { address, zone }
    }

    /// From now on it says this of that name.
    pub(crate) fn says(&self, name: &str, say: Say) {
        let mut zone = self.zone.lock().unwrap();
        zone.says.insert(name.to_owned(), say);
    }

    /// From now on these are the name's addresses, for a minute.
    pub(crate) fn knows(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        self.says(name, Say::Addresses(addresses.collect(), 60));
    }

    /// How often the IPv4 addresses of the name were asked for.
    pub(crate) fn questions(&self, name: &str) -> usize {
        let zone = self.zone.lock().unwrap();
        zone.questions.get(name).copied().unwrap_or(0)
    }
}

/// Whether a question is counted, or was before it came again over TCP.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Counted,
    Before,
}

/// Where the question section of a message ends: one name, a type and a class.
fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

fn answer(zone: &Mutex<Zone>, question: &[u8], seen: Seen) -> Option<Vec<u8>> {
    let end = question_end(question);
    let mut labels = Vec::new();
    let mut at = 12;
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..at + 1 + length]).to_lowercase());
        at += 1 + length;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes([question[end - 4], question[end - 3]]);
    let say = {
        let mut zone = zone.lock().unwrap();
        if kind == A && seen == Seen::Counted {
            *zone.questions.entry(name.clone()).or_insert(0) += 1;
        }
        zone.says.get(&name).cloned().unwrap_or(Say::NoSuchName)
    };
    let (code, records) = match say {
        Say::Silence => return None,
        Say::NoSuchName => (3, Vec::new()),
        Say::Failure => (2, Vec::new()),
        Say::Addresses(addresses, ttl) => (0, addressed(&[0xc0, 12], &addresses, ttl, kind)),
        Say::Alias(other, addresses, ttl) => {
            let mut other: Vec<u8> = other
                .split('.')
                .flat_map(|label| {
                    let length = u8::try_from(label.len()).unwrap();
                    [&[length], label.as_bytes()].concat()
                })
                .collect();
            other.push(0);
            let mut records = vec![record(&[0xc0, 12], CNAME, ttl, &other)];
            records.extend(addressed(&other, &addresses, ttl, kind));
            (0, records)
        }
    };
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let mut message = question[..2].to_vec();
    // An answer, with recursion; one question, no additional records.
    message.extend([0x81, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
    message.extend(&question[12..end]);
    records.iter().for_each(|record| message.extend(record));
    Some(message)
}

/// The records of one family.
fn addressed(name: &[u8], addresses: &[IpAddr], ttl: u32, kind: u16) -> Vec<Vec<u8>> {
    let records = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(ip) if kind == A => Some(record(name, A, ttl, &ip.octets())),
        IpAddr::V6(ip) if kind == AAAA => Some(record(name, AAAA, ttl, &ip.octets())),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    });
    records.collect()
}

fn record(name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [
        name,
        &kind.to_be_bytes(),
        &1_u16.to_be_bytes(),
        &ttl.to_be_bytes(),
        &length.to_be_bytes(),
        data,
    ]
    .concat()
}
