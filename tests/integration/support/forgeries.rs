//! Forged values of the headers in which proxies report client addresses.

/// The values of one header in a request. If the header occurs in several lines, each line has one value.
pub type Lines = Vec<Vec<u8>>;

/// Formats an address as a proxy writes it into this header.
pub fn entry(header: &str, address: &str) -> String {
    match (header.eq_ignore_ascii_case("forwarded"), address.contains(':')) {
        (true, true) => format!("for=\"[{address}]:4711\";proto=https"),
        (true, false) => format!("for={address};by=192.0.2.1"),
        (false, _) => address.to_owned(),
    }
}

/// Returns forged values of the header. With them, an attacker pretends to have the address `victim`. Each value has
/// a short description.
pub fn forgeries(header: &str, attacker: &str, victim: &str) -> Vec<(&'static str, Lines)> {
    let is_forwarded = header.eq_ignore_ascii_case("forwarded");
    let [own, of_victim, proxy] =
        [attacker, victim, "192.0.2.50"].map(|address| entry(header, address));
    // Formats an entry of the header that contains this text instead of an address.
    let node = |text: &str| if is_forwarded { format!("for={text}") } else { text.to_owned() };
    let quoted = |text: &str| node(&format!("\"{text}\""));
    let line = |text: String| vec![text.into_bytes()];
    let bytes: Vec<u8> = (0x80..=0xff).collect();
    let mut forgeries = vec![
        ("nothing", Vec::new()),
        ("an empty line", line(String::new())),
        ("one line", line(of_victim.clone())),
        ("one entry after the other", line(format!("{own}, {of_victim}"))),
        ("several lines", [line(own.clone()), line(of_victim.clone())].concat()),
        ("proxies in a line", line(format!("{of_victim}, {proxy},{proxy}"))),
        ("proxies in lines", [&of_victim, &proxy, &proxy].map(|it| it.as_bytes().to_vec()).into()),
        ("only proxies", line(format!("{proxy}, {proxy}"))),
        ("duplicates", line(vec![of_victim.clone(); 5].join(","))),
        ("duplicate lines", vec![of_victim.clone().into_bytes(); 5]),
        ("empty entries", line(format!(",, {of_victim} ,,"))),
        ("only commas", line(",,,".to_owned())),
        ("blanks and tabs", line(format!("\t {of_victim}\t ,\t "))),
        ("blanks between", line(format!("{of_victim} {proxy}"))),
        ("semicolons between", line(format!("{of_victim};{of_victim}"))),
        ("a parameter", line(format!("{of_victim};proto=https;host=\"a, b;for=c\""))),
        ("unknown", line(format!("{of_victim}, {}", node("unknown")))),
        ("obfuscated", line(format!("{of_victim}, {}", node("_obf")))),
        ("a name", line(format!("{}, {}", of_victim, node("localhost")))),
        ("a URL", line(node(&format!("\"http://{victim}/\"")))),
        ("quotes", line(quoted(victim))),
        ("escapes", line(quoted(&format!("\\\"{victim}\\\\\\\"")))),
        ("a backslash", line(format!("{of_victim}, \\"))),
        ("bytes that are no text", vec![bytes.clone()]),
        ("an address and no text", vec![[of_victim.as_bytes(), b", ", &bytes].concat()]),
        (
            "100 kB of addresses",
            line(vec![of_victim.as_str(); 100_000 / of_victim.len()].join(",")),
        ),
        ("100 kB of nothing", line(format!("{}{}", of_victim, "x".repeat(100_000)))),
        ("a port", line(quoted(&format!("{victim}:80")))),
        ("a strange port", line(format!("{}, {}", node("1.2.3.4:99999"), node("[::1]:0x50")))),
        ("brackets", line(quoted(&format!("[{victim}]")))),
        ("a bracket", line(format!("{}, {}", node("["), quoted(&format!("[{victim}"))))),
        ("zones", line(format!("{}, {}", quoted("fe80::1%eth0"), quoted(&format!("{victim}%"))))),
        ("octal", line(format!("{}, {}", node("0313.0.0161.05"), node("203.000.113.005")))),
        ("numbers", line(format!("{}, {}, {}", node("3405803781"), node("0xcb.1"), node("127.1")))),
        ("mapped", line(quoted("[::ffff:203.0.113.5]"))),
        ("mapped in hexadecimal", line(quoted("::ffff:cb00:7105"))),
        ("the other syntax", line(format!("for={victim};for=\"{victim}\", {victim}"))),
    ];
    let spellings = [
        "2001:db8:b::5",
        "2001:DB8:B::5",
        "2001:0db8:000b:0:0:0:0:5",
        "2001:db8:b:0::5",
        "[2001:db8:b::5]",
        "[2001:db8:b::5]:443",
        "2001:db8:b::0.0.0.5",
        "2001:db8:b::5%1",
    ];
    // These values contain a quoted string that has no end.
    let [alone, parameter] = ["\"".to_owned(), format!("{of_victim};x=\"")];
    for (shape, lines) in [
        ("unfinished, alone", line(alone)),
        ("unfinished, after an address", line(format!("{of_victim}, \""))),
        ("unfinished, an address", line(node(&format!("\"{victim}")))),
        ("unfinished, a parameter", line(parameter.clone())),
        ("unfinished, an escape", line(format!("{parameter}\\"))),
        (
            "unfinished, the first line",
            [&parameter, &of_victim].map(|it| it.clone().into_bytes()).into(),
        ),
        (
            "unfinished, the last line",
            [&of_victim, &parameter].map(|it| it.clone().into_bytes()).into(),
        ),
    ] {
        forgeries.push((shape, lines));
    }
    forgeries.push(("spellings in a line", line(spellings.map(quoted).join(", "))));
    forgeries.push(("spellings in lines", spellings.map(|it| quoted(it).into_bytes()).into()));
    forgeries
}
