use super::*;

fn canonical(text: &str) -> Option<String> {
    text.parse::<Address>().ok().map(|address| address.canonical().to_owned())
}

#[test]
fn canonical_form_drops_case_and_needless_quotes() {
    for (text, expected) in [
        ("Ada@Example.COM", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ("\"Ada\"@example.com", "ada@example.com"),
        (r#""A\d\a"@example.com"#, "ada@example.com"),
        (r#""System Administrator"@x.y"#, r#""system administrator"@x.y"#),
        (r#""a@b"@x.y"#, r#""a@b"@x.y"#),
        (r#""a\"b\\"@x.y"#, r#""a\"b\\"@x.y"#),
        ("ada..b.@docomo.example", "ada..b.@docomo.example"),
        ("ada@example.com.", "ada@example.com"),
        ("ada@localhost", "ada@localhost"),
        ("ada@[IPv6:2001:db8::1]", "ada@[ipv6:2001:db8::1]"),
        ("ÄDA@example.com", "äda@example.com"),
        ("b+tag=x=y.example@example.com", "b+tag=x=y.example@example.com"),
    ] {
        assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn rejects_text_that_is_not_an_address() {
    let long = format!("{}@b.c", "a".repeat(400));
    let label = format!("a@{}.c", "b".repeat(64));
    for text in [
        "",
        "@",
        "a",
        "a@",
        "@b.c",
        "a@b..c",
        "a@.b",
        "a@b@c",
        "a b@c.d",
        "a@b c.d",
        "a,b@c.d",
        "a@b.c,",
        "<a@b.c>",
        "a@b.c>",
        "a@b/c",
        "a@b:25",
        "a@b.c\0",
        "a\n@b.c",
        "\"a@b.c",
        "a\"@b.c",
        "\"a\"b\"@c.d",
        "\"a\u{1b}\"@c.d",
        "a\u{200b}@b.c",
        "a@b\u{202e}.c",
        "a@[b",
        "a@[]",
        "a@[a@b]",
        "(a)a@b.c",
        "a@b.c(a)",
        "a@b.c\u{feff}",
        &long,
        &label,
    ] {
        assert_eq!(canonical(text), None, "{text:?}");
    }
}

#[cfg(feature = "idn")]
#[test]
fn unicode_domain_equals_its_ascii_form_and_no_look_alike() {
    let address = |text: &str| text.parse::<Address>().unwrap();
    for (one, other) in [
        ("z@ż.example", "Z@XN--HHA.example"),
        ("z@BÜCHER.example", "z@xn--bcher-kva.example"),
        ("z@ｅxample.com", "z@example.com"),
        ("z@example\u{3002}com", "z@example.com"),
        ("z@bu\u{308}cher.example", "z@bücher.example"),
    ] {
        assert_eq!(address(one), address(other), "{one}");
        assert!(address(one).canonical().is_ascii());
    }
    for (one, other) in [
        ("z@ехаmple.com", "z@exampie.com"),
        ("z@exаmple.com", "z@example.com"),
        ("z@straße.example", "z@strasse.example"),
    ] {
        assert_ne!(address(one), address(other), "{one}");
    }
    for invalid in ["z@xn--a.example", "z@a\u{2100}b.example", "z@\u{ff0f}.example"] {
        assert_eq!(canonical(invalid), None, "{invalid}");
    }
}

#[test]
fn look_alike_of_an_ascii_letter_stays_different() {
    let address = |text: &str| text.parse::<Address>().unwrap();
    // U+212A KELVIN SIGN, whose lower case is the ASCII `k`.
    for text in ["mi\u{212a}e@b.example", "\"mi\u{212a}e\"@b.example"] {
        assert_ne!(address(text), address("mike@b.example"), "{text}");
        assert_eq!(address(text), address("MI\u{212a}E@B.example"), "{text}");
    }
    // UTS #46 maps it to `k`: with `idn`, both are the same domain.
    let is_same = address("x@ban\u{212a}.example") == address("x@bank.example");
    assert_eq!(is_same, cfg!(feature = "idn"));
}

#[test]
fn debug_shows_no_address() {
    let address: Address = "ada@example.com".parse().unwrap();
    assert_eq!(format!("{address:?}"), "Address(15 bytes)");
}
