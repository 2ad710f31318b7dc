//! The trusted proxies of the tests, and the headers that these proxies write.

use std::net::{IpAddr, SocketAddr};

use super::{
    random::Random,
    text::{Text, TextSource},
};

/// The headers from which a client address rule can read addresses.
pub(super) const HEADERS: [&str; 3] = ["X-Forwarded-For", "Forwarded", "X-Real-IP"];
/// The networks of the trusted proxies.
pub(super) const PROXIES: [&str; 4] =
    ["10.0.0.0/8", "192.0.2.1", "::ffff:172.16.0.0/108", "fd00::/8"];
/// Addresses within the trusted networks. Some of them are the first or the last address of a network.
pub(super) const TRUSTED: [&str; 6] =
    ["10.0.0.1", "10.255.255.255", "192.0.2.1", "::ffff:10.9.8.7", "172.31.0.9", "fd12::1"];
/// Addresses outside the trusted networks. Some of them are right before or right after a trusted network.
pub(super) const UNTRUSTED: [&str; 8] = [
    "9.255.255.255",
    "11.0.0.0",
    "192.0.2.2",
    "172.32.0.0",
    "::ffff:198.51.100.1",
    "fe00::1",
    "2001:db8::7",
    "::10.0.0.1",
];

const ADDRESSES: TextSource = TextSource {
    examples: &[
        "198.51.100.1",
        "10.0.0.3, 10.0.0.2",
        "1.1.1.1, 198.51.100.1:4711, 10.0.0.9",
        "[2001:db8::7]:4711, fd00::1",
        "fe80::7%eth0, ::ffff:10.0.0.1",
    ],
    fragments: &[
        ",",
        ", ",
        " ",
        "[",
        "]",
        "%",
        "%eth0",
        ":",
        ":80",
        "\"",
        "1.1.1.1",
        "10.0.0.1",
        "192.0.2.1",
        "2001:db8::7",
        "fd00::1",
        "::ffff:10.0.0.2",
        "unknown",
        "0x7f.1",
        "127.1",
        "010.0.0.1",
        "for=1.1.1.1",
    ],
};
const FORWARDED: TextSource = TextSource {
    examples: &[
        "for=198.51.100.1",
        "for=10.0.0.3, for=10.0.0.2",
        "for=198.51.100.1;proto=https;by=10.0.0.1, for=10.0.0.2",
        "For=\"[2001:db8::7]:4711\" ; host=\"a, for=2.2.2.2\"",
        "for=6.6.6.6;host=\"",
        "for=_hidden, for=unknown",
        "host=\"a\\\"b\";for=10.0.0.3",
    ],
    fragments: &[
        ",",
        ", ",
        ";",
        "=",
        "\"",
        "\\",
        "\\\"",
        " ",
        ":80",
        "for=",
        "FOR=\"",
        "by=",
        "host=\"",
        "for=\"[",
        "]\"",
        "for=1.1.1.1",
        "for=10.0.0.1",
        "10.0.0.2",
        "2001:db8::7",
        "fd00::1",
        "unknown",
        "_x",
    ],
};

/// Returns the source of random values for the header with this index in [`HEADERS`].
pub(super) fn text_source(header: usize) -> TextSource {
    if HEADERS[header] == "Forwarded" { FORWARDED } else { ADDRESSES }
}

/// Formats an address in the way in which a proxy writes it into the header with this index.
pub(super) fn entry(address: IpAddr, header: usize, random: &mut Random) -> String {
    let port = 1 + random.below(65_535) as u16;
    let with_port = SocketAddr::new(address, port).to_string();
    if HEADERS[header] == "Forwarded" {
        let node = match address {
            IpAddr::V4(_) if random.one_in(2) => address.to_string(),
            IpAddr::V4(_) => format!("\"{with_port}\""),
            IpAddr::V6(v6) if random.one_in(2) => format!("\"[{v6}]\""),
            IpAddr::V6(_) => format!("\"{with_port}\""),
        };
        let end = random.pick(&[
            "",
            ";proto=https",
            ";host=\"a,b\\\"\\\\\";by=_x",
            " ; by=\"[fd00::1]\"",
        ]);
        return format!("for={node}{end}");
    }
    match random.below(2) {
        0 => with_port,
        _ => address.to_string(),
    }
}

/// Returns the lines that the first proxy receives, followed by the entries that the trusted proxies append.
pub(super) fn forwarded(lines: &[Text], written: &[(String, bool)]) -> Vec<Text> {
    let mut lines = lines.to_vec();
    for (entry, is_new_line) in written {
        match lines.last_mut() {
            Some(last) if !is_new_line => {
                last.0.extend_from_slice(b", ");
                last.0.extend_from_slice(entry.as_bytes());
            }
            _ => lines.push(Text(entry.clone().into_bytes())),
        }
    }
    lines
}

/// Returns whether the address is in one of the networks [`PROXIES`].
pub(super) fn is_proxy(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => match v4.octets() {
            [10, ..] | [192, 0, 2, 1] => true,
            [172, second, ..] => second / 16 == 1,
            _ => false,
        },
        IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
    }
}
