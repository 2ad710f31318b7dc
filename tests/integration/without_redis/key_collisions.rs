//! Tests that a million different values have different keys. The values are chosen so that a mistake in the
//! encoding of keys would probably give the same key to two of the values.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use actix_rateguard::Key;

/// The parts of the tested values. Some are separators or look like a length, a tag or an encoding, and some are
/// contained in other parts.
const PARTS: [&[u8]; 31] = [
    b"",
    b"\0",
    b"\0\0",
    b":",
    b"::",
    b"-",
    b"_",
    b"/",
    b"//",
    b"{",
    b"}",
    b"{}",
    b"}:{",
    b":-_/",
    b"a",
    b"b",
    b"ab",
    b"a:",
    b":a",
    b"a:b",
    b"a\0",
    b"\0a",
    b"a\0b",
    b"\x01",
    b"\x01\0\0\0",
    b"\xff",
    b"\x80\xff",
    b"%00",
    b"1",
    b"ip",
    b"4",
];

/// Returns all lists that have up to four of the [`PARTS`].
fn tuples() -> impl Iterator<Item = Vec<&'static [u8]>> {
    (0..=4_u32).flat_map(|length| {
        (0..PARTS.len().pow(length)).map(move |mut number| {
            let mut tuple = Vec::new();
            for _ in 0..length {
                tuple.push(PARTS[number % PARTS.len()]);
                number /= PARTS.len();
            }
            tuple
        })
    })
}

/// Returns all lists of parts into which a text can be split. The text must be longer than each list of [`tuples`].
fn splits(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    assert!(text.len() > 4 * PARTS.iter().map(|part| part.len()).max().unwrap());
    (0..1_u32 << (text.len() - 1)).map(|mask| {
        let (mut parts, mut from) = (Vec::new(), 0);
        for to in 1..text.len() {
            if mask >> (to - 1) & 1 == 1 {
                parts.push(&text[from..to]);
                from = to;
            }
        }
        parts.push(&text[from..]);
        parts
    })
}

#[test]
fn million_different_values_have_different_keys() {
    let mut keys = HashSet::new();
    let mut values = 0;
    let mut add = |key, value: &dyn std::fmt::Debug| {
        values += 1;
        assert!(keys.insert(key), "found the key of {value:?} twice");
    };
    for tuple in tuples() {
        add(Key::from_parts(&tuple), &tuple);
    }
    for text in
        [&b":::::::::::::::::"[..], b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"{a:b}-{c_d}/\0e:\0\0"]
    {
        for split in splits(text) {
            add(Key::from_parts(&split), &split);
        }
    }
    // A single value must have a different key than a list that contains only this value. It must also have a
    // different key than the list whose joined parts are equal to the value.
    add(Key::global(), &"global");
    for tag in ["global", "parts", "value", "ip", "ipv4", "ipv6", "user", "header", "no key"] {
        add(Key::from(tag), &tag);
    }
    let joined: HashSet<Vec<u8>> =
        tuples().take(40_000).map(|tuple| tuple.join(&b":"[..])).collect();
    for value in &joined {
        if !matches!(&value[..], b"ip") {
            add(Key::from(value.as_slice()), value);
        }
    }
    // An address can be given as an address, as bytes, as a text, or as a number. These four values must have
    // different keys.
    for number in 1..=10_000_u32 {
        let v4 = Ipv4Addr::from(0xc000_0200 + number);
        let v6 = Ipv6Addr::from(u128::from(number) << 64 | u128::from(number));
        for address in [IpAddr::V4(v4), IpAddr::V6(v6)] {
            add(Key::from(address), &address);
            add(Key::from(address.to_string()), &address.to_string());
            add(Key::from_parts([address.to_string()]), &[address.to_string()]);
        }
        add(Key::from(&v4.octets()[..]), &v4.octets());
        add(Key::from(&v6.octets()[..]), &v6.octets());
        for number in [i64::from(number), -i64::from(number)] {
            add(Key::from(number), &number);
            let text = number.to_string();
            if !PARTS.contains(&text.as_bytes()) {
                add(Key::from(&text), &text);
            }
        }
    }
    add(Key::from(u128::MAX), &u128::MAX);
    add(Key::from(i128::MIN), &i128::MIN);
    assert!(values >= 1_000_000, "{values}");
    assert_eq!(keys.len(), values);
}
