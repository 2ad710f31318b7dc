//! Tests keys that are made from arbitrary values. Different values must have different keys, and equal values must
//! have equal keys.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use actix_rateguard::{Key, store::Bucket};

use super::{Target, random::Random, text::Text};

/// The maximum number of stored keys. Each new key is compared with all stored keys.
const MAX_STORED_KEYS: usize = 200_000;

/// Texts from which the test builds values. If the hash of a key did not include separators, lengths and types, some
/// different values would get equal keys.
const VALUES: [&str; 16] = [
    "",
    "a",
    "ab",
    "b",
    "parts",
    "value",
    "combined",
    "global",
    "127.0.0.1",
    "::1",
    "\0",
    "\u{1}\0\0\0\0\0\0\0",
    "\u{5}\0\0\0\0\0\0\0value",
    "42",
    "{tag}",
    ",",
];
const NAMES: [&str; 6] = ["a", "app", "shop::cart#2", "größe", ":", "a:b"];

/// A value from which a key is made. Two keys must be equal if and only if their values are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Alone(Text),
    Number(u64),
    Address(IpAddr),
    Parts(Vec<Text>),
    Tuple(Vec<Value>),
    Global,
}

impl Value {
    fn any(random: &mut Random, depth: usize) -> Self {
        match random.below(if depth < 2 { 11 } else { 7 }) {
            0 => Self::Global,
            1 => Self::Address(match random.below(3) {
                0 => IpAddr::from(random.bytes::<4>()),
                1 => IpAddr::from(random.bytes::<16>()),
                _ => IpAddr::from([127, 0, 0, 1]),
            }),
            2 => Self::Parts(random.list(4, bytes)),
            // These parts are the digests of other keys. A tuple of those keys consists of the same bytes, but must
            // have a different key.
            3 => Self::Parts(
                random.list(4, |random| Text(digest(&Self::Alone(bytes(random)).key()).to_vec())),
            ),
            4 | 5 => Self::Alone(bytes(random)),
            6 => Self::Number(random.number()),
            _ => Self::Tuple(
                (0..2 + random.below(3)).map(|_| Self::any(random, depth + 1)).collect(),
            ),
        }
    }

    fn key(&self) -> Key {
        match self {
            Self::Alone(bytes) => Key::from(&*bytes.0),
            Self::Number(number) => Key::from(*number),
            Self::Address(address) => Key::from(*address),
            Self::Parts(parts) => Key::from_parts(parts.iter().map(|part| &part.0)),
            Self::Tuple(values) => match &values[..] {
                [a, b] => (a.key(), b.key()).into(),
                [a, b, c] => (a.key(), b.key(), c.key()).into(),
                [a, b, c, d] => (a.key(), b.key(), c.key(), d.key()).into(),
                _ => unreachable!("there are no such tuples"),
            },
            Self::Global => Key::global(),
        }
    }

    /// Makes a key from a value that is equal to this value but has a different Rust type. If there is no such
    /// type, makes the key from this value.
    fn key_of_another_type(&self) -> Key {
        match self {
            Self::Alone(Text(bytes)) => match String::from_utf8(bytes.clone()) {
                Ok(text) => Key::from(text),
                Err(_) => Key::from(bytes.clone()),
            },
            Self::Number(number) => Key::from(i128::from(*number)),
            Self::Address(IpAddr::V4(v4)) => Key::from(IpAddr::V6(v4.to_ipv6_mapped())),
            Self::Tuple(values) if values.len() == 2 => {
                (values[0].key_of_another_type(), values[1].key_of_another_type()).into()
            }
            _ => self.key(),
        }
    }
}

/// Returns the bytes of one or two of the [`VALUES`], the digits of a number, or random bytes.
fn bytes(random: &mut Random) -> Text {
    Text(match random.below(8) {
        0 => random.list(40, Random::byte),
        1 => random.digits().into_bytes(),
        2..4 => {
            let mut two = random.pick(&VALUES).as_bytes().to_vec();
            two.extend(random.pick(&VALUES).bytes());
            two
        }
        _ => random.pick(&VALUES).as_bytes().to_vec(),
    })
}

fn digest(key: &Key) -> [u8; 16] {
    Bucket::new("", 0, key).digest()
}

#[derive(Debug)]
pub(super) struct Input {
    value: Value,
    prefix: &'static str,
    name: &'static str,
    quota_index: usize,
}

#[derive(Default)]
pub(super) struct Keys {
    values: HashMap<Key, Value>,
    order: VecDeque<Key>,
}

impl Target for Keys {
    type Input = Input;

    const OUTCOMES: &'static [&'static str] = &["a new value", "a repeated value"];

    fn input(&self, random: &mut Random) -> Input {
        Input {
            value: Value::any(random, 0),
            prefix: random.pick::<&str>(&NAMES),
            name: random.pick::<&str>(&NAMES),
            quota_index: if random.one_in(8) {
                random.number() as usize / 2
            } else {
                random.below(8)
            },
        }
    }

    fn check(&mut self, input: &Input) -> usize {
        let key = input.value.key();
        assert_eq!(input.value.key_of_another_type(), key, "another type has another key");
        check_storage_key(&key, input);

        if let Some(value) = self.values.get(&key) {
            assert_eq!(value, &input.value, "two values have one key");
            return 1;
        }
        self.values.insert(key, input.value.clone());
        self.order.push_back(key);
        if self.order.len() > MAX_STORED_KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
        0
    }
}

/// Checks that the storage key contains every part of the bucket's identity. Then two different buckets always have
/// different storage keys.
fn check_storage_key(key: &Key, Input { prefix, name, quota_index, .. }: &Input) {
    let stored = Bucket::new(name, *quota_index, key).storage_key(prefix);
    let (before, rest) = stored.split_once('{').unwrap();
    let (tag, after) = rest.split_once('}').unwrap();
    let number = u128::from_be_bytes(digest(key));
    assert_eq!((before.strip_suffix(':'), tag), (Some(*prefix), &*format!("{number:032x}")));
    let quota_index =
        if *quota_index == 0 { String::new() } else { format!("{{{}}}", quota_index + 1) };
    assert_eq!(after, format!(":{name}{quota_index}"));
}
